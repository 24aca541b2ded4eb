package facade

import (
	"net/http"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

type extended struct {
	Message []extendedItem `json:"message"`
}

type extendedItem struct {
	Handler dms.Handle `json:"handler"`
}

func (a *API) extendMessages(c *call) error { return a.extend(c, dms.Live) }

func (a *API) extendDeadLetters(c *call) error { return a.extend(c, dms.Dead) }

// extend gives consumers more time to acknowledge what they have.
func (a *API) extend(c *call, kind dms.Kind) error {
	wanted, err := parseExtend(c.body)
	if err != nil {
		return bodyError(err, dms.BadMessageJSON, dms.BadFields)
	}
	handles, err := a.o.Workbench.Extend(c.ctx(), c.group, kind, wanted)
	if err != nil {
		return err
	}
	answer := extended{Message: make([]extendedItem, len(handles))}
	for i, h := range handles {
		answer.Message[i].Handler = h
	}
	return c.encode(http.StatusOK, answer)
}

func parseExtend(body []byte) (wanted []dms.Extend, err error) {
	err = whole(body, []string{"message"}, func(r *strictjson.Reader, _ int) error {
		return r.Array("message", func(i int) error {
			if i == maxAcks {
				return dms.Errorf(dms.BadRequest, "message must have at most %d elements", maxAcks)
			}
			var e dms.Extend
			err := r.Object("an element of message", []string{"handler", "ack_wait"}, func(i int) error {
				if i == 0 {
					handler, err := r.Text("handler")
					e.Handle = dms.Handle(handler)
					return err
				}
				n, err := wholeNumber(r, "ack_wait", dms.BadAckWait)
				e.AckWait = time.Duration(n) * time.Second
				return err
			})
			if err == nil && e.Handle == "" {
				err = dms.Errorf(dms.BadFields, "an element of message has no handler")
			}
			wanted = append(wanted, e)
			return err
		})
	})
	if err == nil && len(wanted) == 0 {
		err = dms.Errorf(dms.BadFields, "message must have 1 to %d elements", maxAcks)
	}
	return wanted, err
}
