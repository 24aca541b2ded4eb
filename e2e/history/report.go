package history

import (
	"fmt"
	"io"
	"strings"
)

// Totals say how much was judged; a report without them proves nothing.
type Totals struct {
	Calls     int
	Attempted int // messages that somebody tried to send
	Stored    int // answered as stored
	Refused   int // surely not stored
	Unknown   int

	Deliveries  int // messages handed to groups
	Settled     int // acknowledged, counted for each group
	Duplicates  map[Class]int
	DeadLetters int
	Misuses     int // handles misused on purpose
	Faults      int
}

// Report is the outcome of all checks of a run.
type Report struct {
	Totals
	Cut       bool
	Linearity Linearity // of FIFO queues; its violations are among those of K7
	Findings  []Finding
}

// Finding is what one checker found.
type Finding struct {
	Checker
	Violations []Violation
}

// Judge runs every checker.
func Judge(r *Run) *Report {
	rep := &Report{Totals: r.totals(), Cut: r.cut}
	for _, c := range Checkers() {
		f := Finding{Checker: c}
		if c.Name == "K7" { // the search is costly: once is enough
			rep.Linearity = Linear(r)
			f.Violations = append(r.order(), rep.Linearity.Violations...)
		} else {
			f.Violations = c.Check(r)
		}
		rep.Findings = append(rep.Findings, f)
	}
	return rep
}

// OK reports whether nothing was found.
func (rep *Report) OK() bool {
	for _, f := range rep.Findings {
		if len(f.Violations) > 0 {
			return false
		}
	}
	return true
}

func (r *Run) totals() Totals {
	t := Totals{Calls: len(r.calls), Attempted: len(r.msgs), Duplicates: make(map[Class]int), Faults: len(r.expect.Faults)}
	for i := range r.msgs {
		switch r.msgs[i].result {
		case OK:
			t.Stored++
		case Fail:
			t.Refused++
		default:
			t.Unknown++
		}
	}
	for i := range r.calls {
		for j := range r.calls[i].Items {
			if r.calls[i].Items[j].Misuse != "" {
				t.Misuses++
			}
		}
	}
	r.each(false, func(_ *groupRun, _ *message, live *track) {
		t.Deliveries += len(live.given)
		if live.settlement() != nil {
			t.Settled++
		}
	})
	r.each(true, func(_ *groupRun, _ *message, dead *track) {
		if len(dead.given) > 0 {
			t.DeadLetters++
		}
	})
	r.duplicates(func(d duplicate) { t.Duplicates[d.class]++ })
	return t
}

// shown is how many violations of a check a printed report tells in full.
const shown = 2

// WriteTo prints the report on one screen, unless there is much to complain about.
func (rep *Report) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, rep.String())
	return int64(n), err
}

func (rep *Report) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d calls, %d fault windows, %d misused handles\n", rep.Calls, rep.Faults, rep.Misuses)
	fmt.Fprintf(&s, "sent        %d attempted, %d acked, %d refused, %d unknown\n", rep.Attempted, rep.Stored, rep.Refused, rep.Unknown)
	fmt.Fprintf(&s, "delivered   %d, settled %d, dead letters %d\n", rep.Deliveries, rep.Settled, rep.DeadLetters)
	s.WriteString("duplicates  ")
	for i, c := range []Class{AckTimeout, NegativeAck, UnknownAck, FaultWindow, Resent, Unexplained} {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s %d", c, rep.Duplicates[c])
	}
	fmt.Fprintf(&s, "\nlinearized  %d logs, %d undecided\n", rep.Linearity.Logs, rep.Linearity.Undecided)
	if rep.Cut {
		s.WriteString("the history is cut: messages that seem never sent were not judged\n")
	}
	for _, f := range rep.Findings {
		verdict := "ok"
		if n := len(f.Violations); n > 0 {
			verdict = fmt.Sprintf("%d VIOLATIONS", n)
		}
		fmt.Fprintf(&s, "%-4s %-28s %s\n", f.Name, f.Title, verdict)
		for i, v := range f.Violations {
			if i == shown {
				fmt.Fprintf(&s, "   and %d more\n", len(f.Violations)-shown)
				break
			}
			fmt.Fprintf(&s, "   %v\n", v)
		}
	}
	return s.String()
}
