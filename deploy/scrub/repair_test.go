package scrub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var ours = Key{Account: "A", Stream: "q_1"}

// stage is a node and the two others, as a test says they are.
type stage struct {
	mu       sync.Mutex // of all that follows, once the scrubber runs
	own      []Replica
	others   []Words
	removals int
	asides   int
	remove   func() error // what removing does; nil restores the replica at once
	store    string
	late     bool      // nothing is read at the start
	sealed   bool      // files are unreadable
	asked    func(Key) // what the others do when they should read a stream; nil is nothing
}

func whole(first, last uint64) Replica {
	return Replica{Key: ours, Made: 1, First: first, Last: last, Messages: last - first + 1, Bytes: 10 * (last - first + 1), Whole: true}
}

func leading(r Replica) Replica { r.Led = true; return r }

// hollow lacks messages in the middle.
func hollow(r Replica) Replica { r.Messages -= 3; return r }

func (g *stage) start(t *testing.T) *Scrubber {
	t.Helper()
	store, atStart := g.store, time.Minute
	if g.late {
		atStart = 0
	}
	if store == "" {
		store = t.TempDir()
	}
	s, err := Start(Options{
		Store: store, Nodes: 2, AtStart: atStart, Unreadable: g.sealed,
		Replicas: func() (all []Replica, err error) {
			g.do(func() { all = append(all, g.own...) })
			return all, nil
		},
		Others: func(_ context.Context, q *Question) (all []Words, err error) {
			g.do(func() {
				if q != nil && q.Read && g.asked != nil {
					g.asked(q.Key)
				}
				all = append(all, g.others...)
			})
			return all, nil
		},
		StepDown: func(Key) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.asides++
			for i := range g.own {
				g.own[i].Led = false
			}
			return nil
		},
		Rebuild: func(ctx context.Context, _ Key, ready, done func(context.Context) error) error {
			if err := ready(ctx); err != nil {
				return err
			}
			var err error
			g.do(func() {
				if g.removals++; g.remove != nil {
					err = g.remove()
				} else {
					g.own[0] = whole(1, 100)
				}
			})
			if err != nil {
				return err
			}
			return done(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (g *stage) do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *stage) counts() (removals, asides int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.removals, g.asides
}

func says(r ...Replica) Words { return Words{Replicas: r, Suspect: map[Key]bool{}} }

func states(s *Scrubber) []string {
	var all []string
	for _, f := range s.Findings() {
		all = append(all, f.State)
	}
	return all
}

func TestADamagedReplicaIsRebuiltOnceFromTwoThatAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &stage{own: []Replica{leading(hollow(whole(1, 100)))}, others: []Words{says(whole(1, 100)), says(whole(1, 100))}}
		s := g.start(t)
		// Nobody has taken the lead over yet.
		pass(3 * time.Minute)
		if removals, asides := g.counts(); removals != 0 || asides == 0 {
			t.Fatalf("without a leader among the others it was removed %d times, and made to give up the lead %d times", removals, asides)
		}
		if diff := cmp.Diff([]string{Failed}, states(s)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		g.do(func() { g.others[1] = says(leading(whole(1, 100))) })
		pass(3 * time.Minute)
		removals, _ := g.counts()
		if diff := cmp.Diff([]string{Repaired}, states(s)); diff != "" || removals != 1 {
			t.Errorf("removed %d times, findings (-want +got):\n%s", removals, diff)
		}
		if c := s.Counts(); c.Found != 1 || c.Repaired != 1 || c.Passed.IsZero() {
			t.Errorf("counted %+v", c)
		}
	})
}

// A large replica takes longer than a repair waits. It must not begin again and again.
func TestAReplicaThatCatchesUpForLongIsNotRemovedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &stage{own: []Replica{hollow(whole(1, 100))}, others: []Words{says(leading(whole(1, 100))), says(whole(1, 100))}}
		g.remove = func() error { g.own = nil; return nil }
		s := g.start(t)
		pass(20 * time.Minute)
		g.do(func() { g.own = []Replica{whole(1, 50)} })
		pass(20 * time.Minute)
		if w, err := s.Words(nil); err != nil || !w.Suspect[ours] {
			t.Errorf("a replica that catches up is trusted: %+v, %v", w, err)
		}
		g.do(func() { g.own = []Replica{whole(1, 100)} })
		pass(2 * time.Minute)
		removals, _ := g.counts()
		if diff := cmp.Diff([]string{Repaired}, states(s)); diff != "" || removals != 1 {
			t.Errorf("removed %d times, findings (-want +got):\n%s", removals, diff)
		}
	})
}

func TestAReplicaThatCouldNotBeRemovedIsNotTakenForRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &stage{own: []Replica{whole(1, 100)}, others: []Words{says(leading(whole(1, 100))), says(whole(1, 100))}}
		g.remove = func() error { return errors.New("the disk refuses") }
		s := g.start(t)
		s.found(ours, "", "a bit") // which shows in no count
		pass(10 * time.Minute)
		if diff := cmp.Diff([]string{Failed}, states(s)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		g.do(func() { g.remove = func() error { return nil } })
		pass(2 * time.Minute)
		if diff := cmp.Diff([]string{Repaired}, states(s)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

func TestTheOthersAreSoundOnlyIfNothingCanBeMissing(t *testing.T) {
	now := time.Now()
	at := func(r Replica, made int64) Replica { r.Made = made; return r }
	began := func(r Replica) Replica { r.FirstAt = now.UnixNano(); return r }
	a, l := whole(1, 100), leading(whole(1, 100))
	for name, c := range map[string]struct {
		own    Replica
		before []Replica
		now    []Replica
		sound  bool
	}{
		"both have all":                {a, []Replica{a, l}, []Replica{a, l}, true},
		"both have more by now":        {a, []Replica{a, l}, []Replica{whole(1, 105), leading(whole(1, 110))}, true},
		"the damaged one claims more":  {whole(1, 1<<40), []Replica{a, l}, []Replica{a, l}, true},
		"one is behind":                {a, []Replica{whole(1, 90), l}, []Replica{whole(1, 90), l}, false},
		"one was rebuilt just now":     {a, []Replica{whole(1, 10), l}, []Replica{whole(1, 40), l}, false},
		"nobody leads":                 {a, []Replica{a, a}, []Replica{a, a}, false},
		"both lead":                    {a, []Replica{l, l}, []Replica{l, l}, false},
		"one has a hole":               {a, []Replica{a, l}, []Replica{hollow(a), l}, false},
		"the leader has a hole":        {a, []Replica{a, l}, []Replica{a, hollow(l)}, false},
		"one lacks the front":          {a, []Replica{a, began(l)}, []Replica{whole(50, 100), began(l)}, false},
		"one lacks all":                {a, []Replica{a, began(l)}, []Replica{{Key: ours, Made: 1, First: 101, Last: 100}, began(l)}, false},
		"the stream was made anew":     {a, []Replica{a, l}, []Replica{at(a, 2), at(l, 2)}, false},
		"they do not agree on records": {Replica{Key: ours, Made: 1, First: 1, Last: 100, Messages: 9}, []Replica{a, l}, []Replica{hollow(a), l}, false},
	} {
		if err := sound(c.own, c.before, c.now, now, time.Minute); (err == nil) != c.sound || err != nil && !errors.Is(err, errHealthy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Records with a life of their own end on each replica by its own clock.
func TestADifferenceThatClocksExplainMustLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loose := func(n uint64) Replica { return Replica{Key: ours, Made: 1, First: 1, Last: 100, Messages: n} }
		g := &stage{own: []Replica{loose(50)}, others: []Words{says(leading(loose(51))), says(loose(51))}}
		g.remove = func() error { g.own[0] = loose(52); return nil }
		s := g.start(t)
		pass(8 * time.Minute)
		g.do(func() { g.others = []Words{says(leading(loose(52))), says(loose(52))} })
		pass(8 * time.Minute)
		if got := s.Findings(); len(got) > 0 {
			t.Fatalf("a difference of minutes is taken for damage: %+v", got)
		}
		pass(5 * time.Minute)
		if diff := cmp.Diff([]string{Repaired}, states(s)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsNotRepairedIsNotForgotten(t *testing.T) {
	g := &stage{}
	s := g.start(t)
	key := func(i int) Key { return Key{Account: "A", Stream: fmt.Sprint("q_", i)} }
	for i := range 3 * mostRecent {
		s.found(key(i), "", "a bit")
		if i%2 == 0 {
			s.mark(key(i), Repaired)
		}
	}
	open, repaired := 0, 0
	for _, f := range s.Findings() {
		if f.State == Repaired {
			repaired++
		} else {
			open++
		}
	}
	if open != 3*mostRecent/2 || repaired > mostRecent+1 {
		t.Errorf("%d that are not repaired are known, want %d, and %d that are", open, 3*mostRecent/2, repaired)
	}
}

// pass lets time pass in a bubble, and whoever works at its end come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
