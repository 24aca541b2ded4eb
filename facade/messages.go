package facade

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dms/mapping/dms"
)

// Ranges of the parameters of consuming, in the units of the URL.
const (
	leastWait, mostWait       = 1, 60   // seconds
	leastAckWait, mostAckWait = 15, 300 // seconds

	// lookFor is how long a node that is shutting down takes at most to see whether
	// what is to be consumed exists.
	lookFor = 500 * time.Millisecond

	// pollSlack is what the storage may take beyond the time a consumer waits. It
	// covers a change of leader.
	pollSlack = 15 * time.Second
)

func (a *API) sendMessages(c *call) error {
	key, err := idempotencyKey(c.r.Header)
	if err != nil {
		return err
	}
	req, err := parseSend(c.body)
	if err != nil {
		return err
	}
	sent, err := a.o.Messages.Send(c.ctx(), c.queue, dms.Send{Messages: req.messages, Key: key})
	if err != nil {
		return err
	}
	if len(sent) != len(req.messages) {
		return dms.Wrap(dms.Internal, errors.New("the number of outcomes is not the number of messages"))
	}
	_ = writeJSON(c.w, http.StatusCreated, a.appendSent(nil, sent, req.returnIDs))
	return nil
}

// idempotencyKey returns the key that makes a send repeatable, "" if there is none.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	bad := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if len(values) > 1 || len(key) < 1 || len(key) > 255 || strings.ContainsFunc(key, bad) {
		return "", dms.Errorf(dms.BadRequest, "Idempotency-Key must be given once, with 1 to 255 visible ASCII characters")
	}
	return key, nil
}

// appendSent appends the answer to a send: one element per message, in order.
// Unlike everywhere else, error_code is a number here; clients read it as one.
func (a *API) appendSent(dst []byte, sent []dms.Sent, ids bool) []byte {
	dst = append(dst, `{"messages":[`...)
	for i, s := range sent {
		if i > 0 {
			dst = append(dst, ',')
		}
		if s.Err != nil {
			row, sentence := a.errors.lookup(s.Err)
			dst = append(dst, `{"error":`...)
			dst = appendString(dst, sentence)
			dst = append(dst, `,"error_code":`...)
			dst = strconv.AppendInt(dst, int64(row.number), 10)
			dst = append(dst, `,"state":1}`...)
			continue
		}
		dst = append(dst, `{"error":null,"error_code":null,"state":0`...)
		if ids {
			dst = append(dst, `,"id":`...)
			dst = appendString(dst, string(s.ID))
		}
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}

func (a *API) consumeMessages(c *call) error {
	rec, err := c.receive(dms.Live)
	if err != nil {
		return err
	}
	return a.consume(c, rec, func(payload []byte) []byte { return payload })
}

// receive reads the parameters of consuming.
func (c *call) receive(kind dms.Kind) (rec dms.Receive, err error) {
	rec.Kind = kind
	if rec.Max, err = c.number("max_msgs", dms.DefaultMax, 1, dms.MaxBatch, dms.BadMaxMessages); err != nil {
		return rec, err
	}
	if rec.Wait, err = c.seconds("time_wait", dms.DefaultWait, leastWait, mostWait, dms.BadTimeWait); err != nil {
		return rec, err
	}
	if rec.AckWait, err = c.seconds("ack_wait", dms.DefaultAckWait, leastAckWait, mostAckWait, dms.BadAckWait); err != nil {
		return rec, err
	}
	include, err := c.one("include")
	if err != nil {
		return rec, err
	}
	if rec.Meta = include == "meta"; include != "" && !rec.Meta {
		return rec, dms.Errorf(dms.BadParameters, "include must be meta")
	}
	if kind == dms.Dead {
		return rec, nil // dead letters are not filtered
	}
	for _, value := range c.query["tag"] {
		// Clients that cannot repeat a parameter join labels with commas.
		for label := range strings.SplitSeq(value, ",") {
			if label == "" {
				continue
			}
			if rec.Labels, err = addLabel(rec.Labels, label); err != nil {
				return rec, err
			}
		}
	}
	match, err := c.one("tag_type")
	if err != nil {
		return rec, err
	}
	switch match {
	case "", "or":
		rec.Match = dms.AnyLabel
	case "and":
		rec.Match = dms.AllLabels
	default:
		return rec, &dms.Error{Code: dms.BadLabelMatch}
	}
	return rec, nil
}

// consume waits for deliveries and passes them on, each with the payload that shape
// makes of the stored one. Deliveries that cannot be passed on go back to the queue.
func (a *API) consume(c *call, rec dms.Receive, shape func([]byte) []byte) error {
	client := c.ctx()
	cancel, err := c.hold(rec.Wait + pollSlack)
	if err != nil {
		return err
	}
	defer cancel()
	// A node that shuts down keeps nobody waiting. What does not exist is refused as ever,
	// and what cannot be looked up by then is not known.
	rec.Until = a.drained.Done()
	ctx, stop := context.WithCancelCause(c.ctx())
	defer stop(nil)
	defer context.AfterFunc(a.drained, func() {
		ending := time.AfterFunc(lookFor, func() { stop(errDraining) })
		context.AfterFunc(ctx, func() { ending.Stop() })
	})()

	batch, err := a.o.Messages.Receive(ctx, c.group, rec)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errDraining):
		return dms.Wrap(dms.Unavailable, err)
	case err != nil:
		return err
	case len(batch.Deliveries) == 0:
		return c.nothing()
	}
	// Until the answer is out, the deliveries are ours, a panic included.
	passed := false
	defer func() {
		if !passed && batch.Return != nil {
			batch.Return()
		}
	}()
	if err := client.Err(); err != nil {
		return dms.Wrap(dms.Unavailable, err)
	}
	body := appendDeliveries(batch.Deliveries, shape)
	err = writeJSON(c.w, http.StatusOK, body)
	if err == nil {
		// Flushing tells of a connection that is known to be broken.
		err = http.NewResponseController(c.w).Flush()
	}
	passed = err == nil || errors.Is(err, http.ErrNotSupported)
	if !passed {
		ev := eventOf(c.ctx())
		ev.gone, ev.cause = true, err
	}
	return nil
}

// nothing answers a consumer for whom there is no message. Clients insist on the
// empty array.
func (c *call) nothing() error {
	_ = writeJSON(c.w, http.StatusOK, []byte(`[]`))
	return nil
}

// appendDeliveries writes the answer to a consumer, copying the stored bytes.
func appendDeliveries(deliveries []dms.Delivery, shape func([]byte) []byte) []byte {
	size := len(`[]`)
	for _, d := range deliveries {
		size += len(`{"message":,"handler":""},`) + len(d.Payload) + len(d.Handle)
	}
	dst := make([]byte, 0, size)
	dst = append(dst, '[')
	for i, d := range deliveries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"message":`...)
		dst = append(dst, shape(d.Payload)...)
		dst = append(dst, `,"handler":`...)
		dst = appendString(dst, string(d.Handle))
		if d.Meta != nil {
			dst = append(dst, `,"meta":`...)
			dst = appendMeta(dst, *d.Meta)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

type metaItem struct {
	ID         dms.MessageID `json:"id,omitempty"`
	Sequence   uint64        `json:"sequence"`
	Sent       timestamp     `json:"sent"`
	Deliveries int           `json:"delivery_count"`
	First      *timestamp    `json:"first_delivered,omitempty"`
}

func appendMeta(dst []byte, m dms.Meta) []byte {
	told, err := json.Marshal(metaItem{ID: m.ID, Sequence: m.Sequence, Sent: timestamp(m.Sent), Deliveries: m.Deliveries, First: orNil(m.First)})
	if err != nil { // no value makes it fail
		return append(dst, "null"...)
	}
	return append(dst, told...)
}

func (a *API) ackMessages(c *call) error { return a.acknowledge(c, dms.Live) }
