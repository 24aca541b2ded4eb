package history

import (
	"fmt"
	"slices"
	"strings"
)

// refusal is the error code that each misuse must be answered with, at status 400.
func refusal(m Misuse) string {
	switch m {
	case ForeignGroup, ForeignQueue:
		return "10540004"
	case WrongKind:
		return "10542205"
	}
	return "10542209"
}

// Handles is K8: an acknowledgement with a misused handle was not refused as documented,
// or changed the state of the handle's message.
func Handles(r *Run) []Violation {
	var out []Violation
	for i := range r.calls {
		c := &r.calls[i]
		if c.Op != Ack && c.Op != DeadAck {
			continue
		}
		var want []string
		for j := range c.Items {
			it := &c.Items[j]
			if it.Misuse == "" {
				continue
			}
			want = append(want, refusal(it.Misuse))
			if it.Result == OK {
				out = append(out, r.misuse(c, it, "accepted", ""))
			}
			if r.vanished(c, it) {
				out = append(out, r.misuse(c, it, "changed the state",
					"its message was never settled by anybody and never came again"))
			}
		}
		if v, bad := r.answered(c, want); bad {
			out = append(out, v)
		}
	}
	return out
}

// answered judges the answer to a whole call, once. A refusal for another reason, such
// as 429, says nothing about handles.
func (r *Run) answered(c *Call, want []string) (Violation, bool) {
	if len(want) == 0 {
		return Violation{}, false
	}
	first := &c.Items[slices.IndexFunc(c.Items, func(it Item) bool { return it.Misuse != "" })]
	accepted := slices.ContainsFunc(c.Items, func(it Item) bool { return it.Misuse != "" && it.Result == OK })
	switch {
	case c.Result == OK && !accepted:
		return r.misuse(c, first, "not refused", "the request must be refused as a whole with code "+strings.Join(want, " or ")), true
	case c.Status == 400 && !slices.ContainsFunc(want, func(code string) bool { return strings.HasSuffix(c.Code, code) }):
		return r.misuse(c, first, "wrong code", fmt.Sprintf("got %q, want %s", c.Code, strings.Join(want, " or "))), true
	}
	return Violation{}, false
}

func (r *Run) misuse(c *Call, it *Item, rule, detail string) Violation {
	v := Violation{Check: "K8", Rule: string(it.Misuse) + " handle " + rule, Tenant: c.Tenant, Queue: c.Queue,
		Group: c.Group, Detail: detail, Calls: []*Call{c}}
	if of, ok := r.handles[it.Handle]; ok {
		v.Body = r.msgs[of.msg].body
		v = r.with(v, of.at)
	}
	return v
}

// vanished reports a message that only the misused handle can have settled: its group
// was read to the end, yet it neither came again nor was settled in any other way.
func (r *Run) vanished(c *Call, it *Item) bool {
	of, ok := r.handles[it.Handle]
	if !ok || of.dead && of.group.DeadOpen || !of.dead && of.group.Open {
		return false
	}
	m := &r.msgs[of.msg]
	live, dead := &of.group.live[m.number], &of.group.dead[m.number]
	t := live
	if of.dead {
		t = dead
	}
	switch {
	case t.maySettle() != never || r.mayExpire(m):
		return false
	case !of.dead && (len(dead.given) > 0 || of.group.DeadOpen || r.failures(of.group, m, r.end).sure >= limit(of.group)):
		return false
	}
	return !slices.ContainsFunc(t.given, func(d delivery) bool { return d.end > c.Start })
}
