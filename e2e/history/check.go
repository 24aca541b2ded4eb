package history

import (
	"fmt"
	"strings"
)

// Violation is one thing that a correct service could not have done.
type Violation struct {
	Check  string // "K1" and so on
	Rule   string // which part of the check, in a few words
	Tenant string
	Queue  string
	Group  string
	Body   Body    // zero when no single message is meant
	Detail string  // what was seen, and what was wanted
	Calls  []*Call // what shows it, in the order of the story
}

func (v Violation) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s: tenant %s queue %s group %s", v.Check, v.Rule, v.Tenant, v.Queue, v.Group)
	if v.Body != (Body{}) {
		fmt.Fprintf(&s, " message %s/%d/%s", v.Body.Producer, v.Body.Seq, v.Body.Nonce)
	}
	if v.Detail != "" {
		fmt.Fprintf(&s, ": %s", v.Detail)
	}
	for _, c := range v.Calls {
		fmt.Fprintf(&s, "\n      %v", c)
	}
	return s.String()
}

// Checker is one property of DESIGN.md.
type Checker struct {
	Name  string
	Title string
	Check func(*Run) []Violation
}

// Checkers lists all properties that a history alone can decide.
func Checkers() []Checker {
	return []Checker{
		{"K1", "no loss", Loss},
		{"K2", "no phantom", Phantoms},
		{"K3", "every group gets all", GroupLoss},
		{"K4", "duplicates explained", Duplicates},
		{"K5", "an acknowledgement is final", Final},
		{"K6", "exclusive lease", Leases},
		{"K7", "FIFO", Order},
		{"K8", "handles", Handles},
		{"K9", "dead letters", DeadLetters},
		{"K10", "no leak", Leaks},
		{"K11", "accounts", Accounts},
		{"K15", "idempotent send", Idempotence},
	}
}

func (g *groupRun) violation(check, rule string) Violation {
	return Violation{Check: check, Rule: rule, Tenant: g.queue.Tenant, Queue: g.queue.ID, Group: g.ID}
}

// about adds the message and the calls that sent it.
func (r *Run) about(v Violation, m *message) Violation {
	v.Body = m.body
	for _, s := range m.sends {
		v.Calls = append(v.Calls, &r.calls[s.call])
	}
	return v
}

func (r *Run) with(v Violation, places ...place) Violation {
	for _, p := range places {
		v.Calls = append(v.Calls, &r.calls[p.call])
	}
	return v
}

// each visits the tracks of a group, live ones or dead letters.
func (r *Run) each(dead bool, visit func(*groupRun, *message, *track)) {
	for _, q := range r.queues {
		for _, g := range q.groups {
			tracks := g.live
			if dead {
				tracks = g.dead
			}
			for i := range tracks {
				visit(g, &r.msgs[q.msgs[i]], &tracks[i])
			}
		}
	}
}
