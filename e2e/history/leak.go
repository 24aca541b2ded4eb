package history

import (
	"fmt"
	"slices"
	"strings"
)

// Leaks is K10: an answer showed something of another tenant, or one tenant's request
// was carried out on a queue of another.
func Leaks(r *Run) []Violation {
	var out []Violation
	for i := range r.calls {
		c := &r.calls[i]
		add := func(rule, detail string, b Body) {
			out = append(out, Violation{Check: "K10", Rule: rule, Tenant: c.Tenant, Queue: c.Queue, Group: c.Group,
				Body: b, Detail: detail, Calls: []*Call{c}})
		}
		if c.Result == OK && c.Queue != "" && r.foreign(c) && !r.owns(c) {
			add("another tenant's queue", "the request was carried out", Body{})
		}
		if c.Op == Receive || c.Op == DeadReceive {
			for j := range c.Items {
				if b := c.Items[j].Body; b.Tenant != "" && b.Tenant != c.Tenant {
					add("another tenant's message", "its body names tenant "+b.Tenant, b)
				}
			}
		}
		if mark := r.markIn(c); mark != "" {
			add("another tenant's text", fmt.Sprintf("the answer shows %q", mark), Body{})
		}
	}
	return out
}

func (r *Run) owns(c *Call) bool {
	return slices.ContainsFunc(r.queues, func(q *queueRun) bool { return q.ID == c.Queue && q.Tenant == c.Tenant })
}

// markIn returns another tenant's mark in the text of an answer, or "".
func (r *Run) markIn(c *Call) string {
	if c.Text == "" {
		return ""
	}
	for _, t := range r.expect.Tenants {
		if t.ID == c.Tenant {
			continue
		}
		if strings.Contains(c.Text, t.ID) {
			return t.ID
		}
		for _, mark := range t.Marks {
			if mark != "" && strings.Contains(c.Text, mark) {
				return mark
			}
		}
	}
	return ""
}
