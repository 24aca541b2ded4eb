package facade

import (
	"math"
	"net/http"
	"time"
	"unicode/utf8"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// maxAcks bounds one acknowledgement; consumers may settle several batches at once.
const maxAcks = 100

// acknowledge settles deliveries. The answer tells how many at the start of the list
// were settled; the others count as failed.
func (a *API) acknowledge(c *call, kind dms.Kind) error {
	entries, err := parseAcks(c.body)
	if err != nil {
		return err
	}
	settled := 0
	if len(entries) > 0 {
		settled, err = a.o.Messages.Acknowledge(c.ctx(), c.group, kind, entries)
		if err != nil {
			return err
		}
	}
	return c.encode(http.StatusOK, ackResult{Success: count(settled), Fail: count(len(entries) - settled)})
}

func parseAcks(body []byte) ([]dms.Ack, error) {
	var entries []dms.Ack
	given := false
	err := whole(body, []string{"message"}, func(r *strictjson.Reader, _ int) error {
		given = true
		return r.Array("message", func(i int) error {
			if i == maxAcks {
				return dms.Errorf(dms.BadRequest, "message must have at most %d elements", maxAcks)
			}
			entry, err := parseAck(r)
			entries = append(entries, entry)
			return err
		})
	})
	if err != nil {
		return nil, bodyError(err, dms.BadMessageJSON, dms.BadFields)
	}
	if !given {
		return nil, dms.Errorf(dms.BadFields, "message is missing")
	}
	return entries, nil
}

// parseAck reads one entry; without a status it is a success.
func parseAck(r *strictjson.Reader) (dms.Ack, error) {
	entry := dms.Ack{Success: true}
	held := false
	err := r.Object("an element of message", []string{"handler", "status", "delay", "reason"}, func(i int) error {
		switch i {
		case 0:
			handler, err := r.Text("handler")
			entry.Handle = dms.Handle(handler)
			return err
		case 2:
			held = true
			return parseHold(r, &entry)
		case 3:
			held = true
			reason, err := r.Text("reason")
			if err == nil && (utf8.RuneCountInString(reason) > dms.MaxReason || reason == "") {
				err = dms.Errorf(dms.BadFields, "reason must have 1 to %d characters", dms.MaxReason)
			}
			entry.Reason = reason
			return err
		}
		status, err := optional(r, "status", r.Text)
		switch {
		case err != nil || status == nil:
			return err
		case *status == "fail":
			entry.Success = false
		case *status != "success":
			return dms.Errorf(dms.BadAckStatus, "status is %q, must be success or fail", cut(*status))
		}
		return nil
	})
	if err == nil && entry.Handle == "" {
		err = dms.Errorf(dms.BadFields, "an element of message has no handler")
	}
	if err == nil && held && entry.Success {
		err = dms.Errorf(dms.BadFields, "delay and reason are for the status fail")
	}
	return entry, err
}

// parseHold reads for how many seconds a failed message shall stay hidden.
func parseHold(r *strictjson.Reader, entry *dms.Ack) error {
	const most = int(dms.MaxHold / time.Second)
	bad := dms.Errorf(dms.BadFields, "delay must be a whole number of seconds from 0 to %d", most)
	if r.Kind() != strictjson.Number {
		return bad
	}
	f, err := r.Float("delay")
	if err != nil {
		return err
	}
	if f != math.Trunc(f) || f < 0 || f > float64(most) {
		return bad
	}
	entry.Delay = time.Duration(f) * time.Second
	return nil
}

// cut shortens what a caller sent for repeating it in a sentence.
func cut(s string) string {
	const most = 64
	for i := range s {
		if i >= most {
			return s[:i] + "..."
		}
	}
	return s
}
