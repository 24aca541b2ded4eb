package audit

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"dms/tenancy"
)

const (
	// minute is how long calls are counted before the counts are recorded.
	minute = time.Minute
	// longest is how far that is stretched for refusals that do not stop, so that nobody
	// can fill a trail by being refused.
	longest = time.Hour
	// How many sorts of calls of one project are told apart at a time; those beyond are
	// counted together.
	maxUses     = 64
	maxRefusals = 16
	// maxProjects bounds the projects that are counted at a time.
	maxProjects = 4096
)

// Tally counts calls per project. It is safe for concurrent use. Its memory is bounded
// whatever callers do.
type Tally struct {
	node string

	mu      sync.Mutex
	windows map[window]*counts
}

// window is what is counted together.
type window struct {
	project tenancy.ProjectID
	kind    Kind
}

type counts struct {
	since time.Time // zero while there is nothing
	ended time.Time // when the last span ended
	span  time.Duration
	calls map[sort]*Count
}

// sort tells calls apart. Refusals are told apart by source and reason only.
type sort struct {
	action, subject, key, queue, source, code string
}

// NewTally returns a tally of the named node.
func NewTally(node string) *Tally {
	return &Tally{node: node, windows: make(map[window]*counts)}
}

// Add counts a call. The number of calls in c is ignored.
func (t *Tally) Add(project tenancy.ProjectID, kind Kind, c Count, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := window{project, kind}
	n, ok := t.windows[w]
	if !ok {
		if len(t.windows) >= 2*maxProjects && project != Service {
			w = window{Service, kind}
			n, ok = t.windows[w]
		}
		if !ok {
			n = &counts{span: minute, calls: make(map[sort]*Count)}
			t.windows[w] = n
		}
	}
	if n.since.IsZero() {
		n.since = now
	}
	s, most := sort{source: c.Source, code: c.Code}, maxRefusals
	if kind == Use {
		s, most = sort{action: c.Action, subject: c.Actor.Subject, key: c.Actor.KeyID, queue: c.Queue}, maxUses
		c.Source = "" // a caller may call from anywhere
	}
	known, ok := n.calls[s]
	if !ok && len(n.calls) >= most {
		if kind == Use {
			s, c = sort{action: c.Action}, Count{Action: c.Action}
		} else {
			s, c = sort{code: c.Code}, Count{Code: c.Code}
		}
		known, ok = n.calls[s]
	}
	if !ok {
		c.Calls = 0
		known = &c
		n.calls[s] = known
	}
	known.Calls++
}

// Due is a record to be written to the trail of a project.
type Due struct {
	Project tenancy.ProjectID
	Record  Record
}

// Take returns the counts whose time is over, and all of them if the tally is to end.
func (t *Tally) Take(now time.Time, all bool) []Due {
	t.mu.Lock()
	defer t.mu.Unlock()
	var due []Due
	for w, n := range t.windows {
		switch {
		case n.since.IsZero() && now.Sub(n.ended) > n.span:
			delete(t.windows, w) // quiet for long enough to begin again with minutes
		case !n.since.IsZero() && (all || now.Sub(n.since) >= n.span):
			due = append(due, Due{Project: w.project, Record: n.record(w.kind, t.node, now)})
			n.since, n.ended, n.calls = time.Time{}, now, make(map[sort]*Count)
			if w.kind == Refusal {
				n.span = min(2*n.span, longest)
			}
		}
	}
	slices.SortFunc(due, func(a, b Due) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Record.Kind, b.Record.Kind))
	})
	return due
}

func (n *counts) record(kind Kind, node string, now time.Time) Record {
	since := n.since.UTC()
	r := Record{Time: now.UTC(), Kind: kind, Node: node, Since: &since}
	for _, c := range n.calls {
		r.Counts = append(r.Counts, *c)
	}
	slices.SortFunc(r.Counts, func(a, b Count) int {
		return cmp.Or(-cmp.Compare(a.Calls, b.Calls), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.Actor.Subject, b.Actor.Subject), cmp.Compare(a.Actor.KeyID, b.Actor.KeyID),
			cmp.Compare(a.Queue, b.Queue))
	})
	return r
}
