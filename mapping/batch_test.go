package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"
)

// A poll of a backlog gets as many messages as it asks for, and one of large messages as
// many as fit, although deliveries and what the log says of the pull do not come in one
// order. On a busy machine a poll may be answered before all have come; most are not.
func TestABacklogFillsEveryBatch(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 200<<10)
	for name, c := range map[string]struct {
		text     string
		messages int
		batch    int
		ackWait  time.Duration
	}{
		"small":                     {"", 300, 10, dms.DefaultAckWait},
		"small, an ack_wait of own": {"", 300, 10, 15 * time.Second},
		"large":                     {large, 20, 2, dms.DefaultAckWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dms.NewQueue{})
			for i := 0; i < c.messages; i += c.batch {
				var bodies []string
				for j := range c.batch {
					bodies = append(bodies, fmt.Sprint(i+j, c.text))
				}
				send(t, f.b, f.queue, bodies...)
			}
			full, polls := 0, 0
			for got := 0; got < c.messages; polls++ {
				req := live(10, 20*time.Second)
				req.AckWait = c.ackWait
				ds := receive(t, f.b, f.group, req)
				if got += len(ds); len(ds) == c.batch {
					full++
				}
				acknowledge(t, f.b, f.group, dms.Live, acks(ds), len(ds))
			}
			if 2*full < polls {
				t.Errorf("%d of %d polls got %d messages", full, polls, c.batch)
			}
		})
	}
}
