package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Loss is K1: a message whose send succeeded reached no group that read its queue.
func Loss(r *Run) []Violation { return r.losses("K1") }

// GroupLoss is K3: a message reached some groups of its queue, but not all.
func GroupLoss(r *Run) []Violation { return r.losses("K3") }

func (r *Run) losses(check string) []Violation {
	var out []Violation
	for _, q := range r.queues {
		var readers []*groupRun
		for _, g := range q.groups {
			if !g.Open {
				readers = append(readers, g)
			}
		}
		if len(readers) == 0 {
			continue
		}
		stored := r.mustArrive(q)
		everywhere := func(n int32) bool {
			return !slices.ContainsFunc(readers, func(g *groupRun) bool { return g.got(r.msgs[n].number) })
		}
		for _, g := range readers {
			var missing []int
			for i, n := range stored {
				if !g.got(r.msgs[n].number) && everywhere(n) == (check == "K1") {
					missing = append(missing, i)
				}
			}
			if len(missing) > 0 {
				out = append(out, r.lost(check, g, stored, missing)...)
			}
		}
	}
	return out
}

// mustArrive lists what every group must be given, in the order of storing: what was
// surely stored and cannot have expired.
func (r *Run) mustArrive(q *queueRun) []int32 {
	var stored []int32
	for _, n := range q.msgs {
		if m := &r.msgs[n]; m.result == OK && !r.mayExpire(m) {
			stored = append(stored, n)
		}
	}
	slices.SortStableFunc(stored, func(a, b int32) int { return cmp.Compare(r.msgs[a].stored, r.msgs[b].stored) })
	return stored
}

func (r *Run) mayExpire(m *message) bool {
	return m.start != never && m.start+m.delay+m.queue.Retention <= r.end
}

func (g *groupRun) got(number int32) bool {
	return len(g.live[number].given) > 0 || len(g.dead[number].given) > 0
}

// lost tells for each missing message where in the queue it stood, because a lost
// prefix, middle and end have different causes.
func (r *Run) lost(check string, g *groupRun, stored []int32, missing []int) []Violation {
	first, last := len(stored), -1
	for i, n := range stored {
		if g.got(r.msgs[n].number) {
			first, last = min(first, i), i
		}
	}
	parts, nodes := map[string]int{}, map[string]int{}
	part := func(i int) string {
		switch {
		case last < 0:
			return "all"
		case i < first:
			return "prefix"
		case i > last:
			return "postfix"
		}
		return "middle"
	}
	for _, i := range missing {
		parts[part(i)]++
		nodes[r.storedBy(&r.msgs[stored[i]])]++
	}
	summary := fmt.Sprintf("%d of %d missing: %s; stored through %s", len(missing), len(stored), counts(parts), counts(nodes))
	out := make([]Violation, 0, len(missing))
	for _, i := range missing {
		v := r.about(g.violation(check, "lost "+part(i)), &r.msgs[stored[i]])
		v.Detail = summary
		out = append(out, v)
	}
	return out
}

func (r *Run) storedBy(m *message) string {
	for _, s := range m.sends {
		if c := &r.calls[s.call]; c.Items[s.item].Result == OK {
			return cmp.Or(c.Node, "an unnamed node")
		}
	}
	return "no node"
}

func counts(of map[string]int) string {
	keys := make([]string, 0, len(of))
	for k := range of {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %d", k, of[k])
	}
	return strings.Join(keys, ", ")
}
