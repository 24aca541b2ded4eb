package facade

import (
	"math"
	"slices"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// maxValueDepth is how deeply a message's body or attributes may nest.
const maxValueDepth = 1000

// sendRequest is the body of a send, read.
type sendRequest struct {
	messages  []dms.Message
	returnIDs bool
}

// parseSend reads the body of a send in one pass. What belongs to the tenant, bodies
// and attributes, goes into the payloads byte for byte: numbers too large for any
// machine, members given twice and white space are all kept.
func parseSend(body []byte) (sendRequest, error) {
	var req sendRequest
	var size int64
	var given, spelled bool
	names := [...]string{"messages", "return_id", "returnId"}
	err := whole(body, names[:], func(r *strictjson.Reader, i int) error {
		if i > 0 {
			if spelled {
				return dms.Errorf(dms.BadFields, "return_id and returnId are both given")
			}
			spelled = true
			v, err := optional(r, names[i], r.Bool)
			req.returnIDs = v != nil && *v
			return err
		}
		given = true
		return r.Array("messages", func(i int) error {
			if i == dms.MaxBatch {
				return dms.Errorf(dms.BadRequest, "messages must have 1 to %d elements", dms.MaxBatch)
			}
			m, n, err := parseMessage(r)
			req.messages = append(req.messages, m)
			size += int64(n)
			return err
		})
	})
	switch {
	case err != nil:
		return sendRequest{}, bodyError(err, dms.BadMessageJSON, dms.BadFields)
	case !given:
		return sendRequest{}, dms.Errorf(dms.BadFields, "messages is missing")
	case len(req.messages) == 0:
		return sendRequest{}, dms.Errorf(dms.BadRequest, "messages must have 1 to %d elements", dms.MaxBatch)
	case size > dms.MaxMessageSize:
		return sendRequest{}, messageTooBig(size)
	}
	return req, nil
}

// messageTooBig refuses messages by their size in bytes, 0 if it is not known.
func messageTooBig(size int64) error {
	if size == 0 {
		return dms.Errorf(dms.MessageTooBig, "the messages are larger than the limit of %d bytes", dms.MaxMessageSize)
	}
	return dms.Errorf(dms.MessageTooBig, "the size of the messages is %d bytes, larger than the limit of %d bytes", size, dms.MaxMessageSize)
}

// parseMessage reads one message, and how many bytes it counts: its body and its
// attributes, without insignificant white space.
func parseMessage(r *strictjson.Reader) (m dms.Message, size int, err error) {
	var body, attributes []byte
	var spelled bool
	names := [...]string{"body", "attributes", "tags", "delay_time", "delayTime"}
	err = r.Object("a message", names[:], func(i int) (err error) {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		var n int
		switch names[i] {
		case "body":
			body, n, err = r.Raw(maxValueDepth)
		case "attributes":
			if k := r.Kind(); k != strictjson.Object && k != strictjson.End {
				return dms.Errorf(dms.BadFields, "attributes must be an object, not %v", k)
			}
			attributes, n, err = r.Raw(maxValueDepth)
		case "tags":
			m.Labels, err = parseLabels(r)
		default:
			if spelled {
				return dms.Errorf(dms.BadFields, "delay_time and delayTime are both given")
			}
			spelled = true
			m.Delay, err = parseDelay(r, names[i])
		}
		size += n
		return err
	})
	if err != nil {
		return dms.Message{}, 0, err
	}
	if body == nil {
		return dms.Message{}, 0, dms.Errorf(dms.BadFields, "a message has no body")
	}
	m.Payload = payload(body, attributes, m.Labels)
	return m, size, nil
}

// parseLabels reads the tags of a message. One that is given twice counts once.
func parseLabels(r *strictjson.Reader) ([]string, error) {
	var labels []string
	err := r.Array("tags", func(int) error {
		label, err := r.Text("a tag")
		if err != nil {
			return err
		}
		labels, err = addLabel(labels, label)
		return err
	})
	return labels, err
}

// addLabel adds a valid label to a set of at most three.
func addLabel(labels []string, label string) ([]string, error) {
	if err := dms.ValidateLabel(label); err != nil {
		return nil, err
	}
	if slices.Contains(labels, label) {
		return labels, nil
	}
	if len(labels) == dms.MaxLabels {
		return nil, dms.Errorf(dms.BadLabel, "at most %d tags may be given", dms.MaxLabels)
	}
	return append(labels, label), nil
}

// parseDelay reads a delay in milliseconds. Some clients send fractions, which are cut.
func parseDelay(r *strictjson.Reader, what string) (time.Duration, error) {
	ms, err := r.Float(what)
	if err != nil {
		return 0, err
	}
	if ms = math.Trunc(ms); ms < 0 || ms > float64(dms.MaxDelay.Milliseconds()) {
		return 0, dms.Errorf(dms.BadRequest, "%s must be 0 to %d milliseconds", what, dms.MaxDelay.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// payload assembles what consuming will return as the message; see dms.Message.
func payload(body, attributes []byte, labels []string) []byte {
	n := len(`{"body":,"attributes":,"tags":[]}`) + len(body) + len(attributes)
	for _, l := range labels {
		n += len(l) + len(`"",`)
	}
	p := make([]byte, 0, n)
	p = append(p, `{"body":`...)
	p = append(p, body...)
	if attributes != nil {
		p = append(p, `,"attributes":`...)
		p = append(p, attributes...)
	}
	if len(labels) > 0 {
		p = append(p, labelsStart...)
		for i, l := range labels {
			if i > 0 {
				p = append(p, `","`...)
			}
			p = append(p, l...)
		}
		p = append(p, labelsEnd[:2]...)
	}
	return append(p, '}')
}
