package facade

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"dms/mapping/dms"
)

// peekMessages shows messages without consuming them.
func (a *API) peekMessages(c *call) error {
	p, err := c.peek()
	if err != nil {
		return err
	}
	page, err := a.o.Workbench.Peek(c.ctx(), c.queue, p)
	if err != nil {
		return err
	}
	body, err := appendPage(page)
	if err != nil {
		return dms.Wrap(dms.Internal, err)
	}
	_ = writeJSON(c.w, http.StatusOK, body)
	return nil
}

// peek reads the parameters of looking.
func (c *call) peek() (p dms.Peek, err error) {
	var source, group, order, from, at string
	for _, text := range []struct {
		name string
		into *string
	}{
		{"source", &source}, {"group_id", &group}, {"order", &order}, {"from_sequence", &from}, {"from_time", &at},
		{"cursor", &p.Cursor}, {"text", &p.Search.Text}, {"filter", &p.Search.Filter},
	} {
		if *text.into, err = c.one(text.name); err != nil {
			return p, err
		}
	}
	p.Source = dms.InQueue
	if source != "" {
		p.Source = dms.Source(source)
	}
	if group != "" {
		if p.Group, err = dms.ParseGroupID(group); err != nil {
			return p, err
		}
	}
	switch order {
	case "", "oldest":
	case "newest":
		p.Newest = true
	default:
		return p, dms.Errorf(dms.BadParameters, "order must be oldest or newest")
	}
	if from != "" {
		if p.FromSequence, err = parseSequence("from_sequence", from); err != nil {
			return p, err
		}
	}
	if at != "" {
		if p.FromTime, err = parseMoment("from_time", at, dms.BadParameters); err != nil {
			return p, err
		}
	}
	limit, err := c.one("limit")
	if err != nil {
		return p, err
	}
	p.Limit = dms.DefaultPeek
	if limit != "" {
		if p.Limit, err = strconv.Atoi(limit); err != nil {
			p.Limit = 0 // which is refused with the rule
		}
	}
	for _, value := range c.query["label"] {
		for label := range strings.SplitSeq(value, ",") {
			if label == "" {
				continue
			}
			if p.Search.Labels, err = addLabel(p.Search.Labels, label); err != nil {
				return p, err
			}
		}
	}
	for _, value := range c.query["attribute"] {
		name, want, ok := strings.Cut(value, "=")
		if !ok {
			return p, dms.Errorf(dms.BadParameters, "attribute must be a name and a value with = between them")
		}
		p.Search.Attributes = append(p.Search.Attributes, dms.Attribute{Name: name, Value: want})
	}
	return p, p.Validate()
}

func parseSequence(what, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || n > largestNumber {
		return 0, dms.Errorf(dms.BadParameters, "%s must be a whole number from 1 to %d", what, uint64(largestNumber))
	}
	return n, nil
}

// appendPage writes the answer to a peek, copying what was stored.
func appendPage(page dms.Page) ([]byte, error) {
	size := 256
	for _, m := range page.Messages {
		size += len(m.Payload) + 512
	}
	dst := make([]byte, 0, size)
	dst = append(dst, `{"messages":[`...)
	for i, m := range page.Messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendPeeked(dst, m); err != nil {
			return nil, err
		}
	}
	dst = append(dst, `],"scanned":`...)
	dst = strconv.AppendInt(dst, int64(page.Scanned), 10)
	if page.Next != "" {
		dst = append(dst, `,"next":`...)
		dst = appendString(dst, page.Next)
	}
	return append(dst, '}'), nil
}

// peekedHead is what is told of a message before its body.
type peekedHead struct {
	Sequence uint64        `json:"sequence"`
	ID       dms.MessageID `json:"id,omitempty"`
	Sent     timestamp     `json:"sent"`
	Size     int           `json:"size"` // bytes as stored
	Labels   []string      `json:"labels"`
	State    dms.State     `json:"state,omitempty"`
	Until    *timestamp    `json:"leased_until,omitempty"`
	Due      *timestamp    `json:"due,omitempty"`
	Dead     *deadItem     `json:"dead,omitempty"`
}

type deadItem struct {
	Group    dms.GroupID `json:"group_id"`
	Sequence uint64      `json:"source_sequence"`
	Failures int         `json:"failures"`
	Reason   string      `json:"reason"`
}

func newDeadItem(d *dms.DeadLetter) *deadItem {
	if d == nil {
		return nil
	}
	return &deadItem{Group: d.Group, Sequence: d.Sequence, Failures: d.Deliveries, Reason: d.Reason}
}

func appendPeeked(dst []byte, m dms.Peeked) ([]byte, error) {
	labels := m.Labels
	if labels == nil {
		labels = []string{}
	}
	head, err := json.Marshal(peekedHead{
		Sequence: m.Sequence, ID: m.ID, Sent: timestamp(m.Sent), Size: len(m.Payload), Labels: labels,
		State: m.State, Until: orNil(m.Until), Due: orNil(m.Due), Dead: newDeadItem(m.Dead),
	})
	if err != nil {
		return nil, err
	}
	dst = append(dst, head[:len(head)-1]...)
	dst = append(dst, ',')
	// What is left of the payload are body and attributes.
	return append(dst, withoutLabels(m.Payload)[1:]...), nil
}

type groupHistory struct {
	Group    dms.GroupID `json:"group_id"`
	Name     string      `json:"name"`
	State    dms.State   `json:"state"`
	Until    *timestamp  `json:"leased_until,omitempty"`
	Failures int         `json:"failures"`
	Dead     *deadItem   `json:"dead,omitempty"`
}

// showMessage shows one message and what has become of it for every group.
func (a *API) showMessage(c *call) error {
	text, err := param(c.r, "sequence")
	if err != nil {
		return dms.Errorf(dms.BadParameters, "the URL has a malformed escape")
	}
	seq, err := parseSequence("the sequence in the URL", text)
	if err != nil {
		return err
	}
	h, err := a.o.Workbench.Message(c.ctx(), c.queue, seq)
	if err != nil {
		return err
	}
	groups := make([]groupHistory, len(h.Groups))
	for i, g := range h.Groups {
		groups[i] = groupHistory{
			Group: g.Group, Name: g.Name, State: g.State, Until: orNil(g.Until), Failures: g.Failed, Dead: newDeadItem(g.Dead),
		}
	}
	told, err := json.Marshal(groups)
	if err != nil {
		return dms.Wrap(dms.Internal, err)
	}
	body := append(make([]byte, 0, len(h.Message.Payload)+len(told)+512), `{"message":`...)
	if body, err = appendPeeked(body, h.Message); err != nil {
		return dms.Wrap(dms.Internal, err)
	}
	body = append(body, `,"groups":`...)
	body = append(body, told...)
	_ = writeJSON(c.w, http.StatusOK, append(body, '}'))
	return nil
}
