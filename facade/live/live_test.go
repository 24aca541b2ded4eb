package live

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func items(text ...string) (all []Item) {
	for _, t := range text {
		all = append(all, Item{ID: t[:1], Owner: "o" + t[:1], Data: []byte(t[1:])})
	}
	return all
}

func seen(topic string, text ...string) Seen {
	return Seen{Topics: map[string][]Item{topic: items(text...)}}
}

// told is what an onlooker hears, in short: "full +a1 -b".
func told(updates []Update) (all []string) {
	for _, u := range updates {
		s := u.Topic
		if u.Full {
			s += " full"
		}
		for _, i := range u.Changed {
			s += " +" + i.ID + string(i.Data)
		}
		for _, i := range u.Removed {
			s += " -" + i.ID
		}
		all = append(all, s)
	}
	return all
}

func TestAnOnlookerIsToldWhatItHasMissed(t *testing.T) {
	f := newFeed()
	var marks []uint64
	step := func(s Seen) {
		f.see(s)
		now, _, _ := f.since(0)
		marks = append(marks, now)
	}
	step(seen("q", "a1", "b1"))
	step(seen("q", "a1", "b2"))
	step(seen("g"))
	step(seen("q", "a1", "c1")) // b is gone
	step(seen("q", "a1", "c1")) // nothing new
	step(seen("q", "a1", "b3", "c2"))
	for i, want := range [][]string{
		{"g full", "q +b3 +c2"}, // b1 was known, b2 and its end were missed
		{"g full", "q +b3 +c2"},
		{"q +b3 +c2"},
		{"q +b3 +c2"},
		{"q +b3 +c2"},
		nil,
	} {
		_, updates, _ := f.since(marks[i])
		if d := cmp.Diff(want, told(updates)); d != "" {
			t.Errorf("after step %d (-want +got):\n%s", i, d)
		}
	}
	if marks[4] != marks[3] {
		t.Error("nothing new counts as a change")
	}
	_, updates, _ := f.since(0)
	if d := cmp.Diff([]string{"g full", "q full +a1 +b3 +c2"}, told(updates)); d != "" {
		t.Errorf("a new one (-want +got):\n%s", d)
	}
}

func TestWhatCannotBeSeenStays(t *testing.T) {
	f := newFeed()
	f.see(seen("q", "a1", "b1"))
	at, _, _ := f.since(0)
	s := seen("q")
	s.Unsure = func(_ string, i Item) bool { return i.Owner == "oa" }
	f.see(s)
	f.see(Seen{}) // the topic could not be looked at
	_, updates, _ := f.since(at)
	if d := cmp.Diff([]string{"q -b"}, told(updates)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAPartIsNotTakenForTheWhole(t *testing.T) {
	f := newFeed()
	s := seen("q", "a1")
	s.Partial = map[string]bool{"q": true}
	f.see(s)
	if _, updates, _ := f.since(0); len(updates) != 0 {
		t.Errorf("told %v after a look at a part", told(updates))
	}
	f.see(seen("q", "a1", "b1"))
	at, updates, _ := f.since(0)
	if d := cmp.Diff([]string{"q full +a1 +b1"}, told(updates)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	s = seen("q", "a2", "b1")
	s.Partial = map[string]bool{"q": true}
	f.see(s)
	_, updates, _ = f.since(at)
	if d := cmp.Diff([]string{"q +a2"}, told(updates)); d != "" {
		t.Errorf("what is known already waits for nothing (-want +got):\n%s", d)
	}
	f = newFeed()
	for range mostWaits + 1 {
		f.see(s)
	}
	if _, updates, _ := f.since(0); len(updates) != 1 {
		t.Errorf("told %v after %d looks at a part", told(updates), mostWaits+1)
	}
}

func TestWhatIsGoneIsNotRememberedForEver(t *testing.T) {
	f := newFeed()
	f.see(seen("q", "a1"))
	before, _, _ := f.since(0)
	var last uint64
	for i := range mostGone + 10 {
		f.see(Seen{Topics: map[string][]Item{"q": {{ID: "a", Owner: "oa", Data: []byte("1")}, {ID: fmt.Sprint(i), Data: []byte("x")}}}})
		last, _, _ = f.since(0)
	}
	f.mu.Lock()
	n := len(f.topics["q"].items)
	f.mu.Unlock()
	if n > mostGone+2 {
		t.Errorf("%d items are remembered", n)
	}
	_, updates, _ := f.since(before)
	if len(updates) != 1 || !updates[0].Full {
		t.Errorf("who was away for long is told %v, want everything", told(updates))
	}
	f.see(seen("q"))
	_, updates, _ = f.since(last)
	if len(updates) != 1 || updates[0].Full || len(updates[0].Removed) != 2 {
		t.Errorf("who was not is told %v, want that two are gone", told(updates))
	}
}

func TestMarksOfOthersMeanNothing(t *testing.T) {
	f, other := newFeed(), newFeed()
	f.see(seen("q", "a1"))
	for _, mark := range []string{"", "x", other.mark(1), f.mark(2), f.run + ".", f.run + ".-1", f.run + ".1x", f.mark(1)[1:]} {
		if n := f.parse(mark); n != 0 {
			t.Errorf("%q is understood as %d", mark, n)
		}
	}
	if n := f.parse(f.mark(1)); n != 1 {
		t.Errorf("its own is understood as %d", n)
	}
}

// scene is what a hub looks at.
type scene struct {
	mu    sync.Mutex
	text  string
	looks int
}

func (s *scene) look(string) func(context.Context) Seen {
	return func(context.Context) Seen {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looks++
		return seen("q", s.text)
	}
}

func (s *scene) set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

func (s *scene) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

func newHub(t *testing.T, s *scene, linger time.Duration) *Hub {
	t.Helper()
	h, err := NewHub(Options{Look: s.look, Every: 2 * time.Millisecond, Linger: linger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// hear waits for the next thing that an onlooker is told.
func hear(t *testing.T, o *Onlooker) (mark string, heard []string) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		mark, updates, more := o.News()
		if len(updates) > 0 {
			return mark, told(updates)
		}
		select {
		case <-more:
		case <-limit.C:
			t.Fatal("nothing was heard")
		}
	}
}

func TestOnlookersShareOneLook(t *testing.T) {
	s := &scene{text: "a1"}
	h := newHub(t, s, time.Hour)
	var all []*Onlooker
	for range 10 {
		all = append(all, h.Join("p", ""))
	}
	for _, o := range all {
		if _, got := hear(t, o); cmp.Diff([]string{"q full +a1"}, got) != "" {
			t.Errorf("at first: %v", got)
		}
	}
	s.set("a2")
	mark := ""
	for _, o := range all {
		var got []string
		if mark, got = hear(t, o); cmp.Diff([]string{"q +a2"}, got) != "" {
			t.Errorf("then: %v", got)
		}
		o.Leave()
	}
	s.set("a3")
	back := h.Join("p", mark)
	defer back.Leave()
	if _, got := hear(t, back); cmp.Diff([]string{"q +a3"}, got) != "" {
		t.Errorf("who comes back hears %v", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.feeds) != 1 {
		t.Errorf("%d feeds, want 1", len(h.feeds))
	}
}

func TestNobodyIsLookedAtWhileNobodyLooksOn(t *testing.T) {
	s := &scene{text: "a1"}
	h := newHub(t, s, 0)
	o := h.Join("p", "")
	hear(t, o)
	o.Leave()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		h.mu.Lock()
		n := len(h.feeds)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("it is still looked at, %d times by now", s.looked())
		}
	}
	o = h.Join("p", "")
	defer o.Leave()
	if _, got := hear(t, o); cmp.Diff([]string{"q full +a1"}, got) != "" {
		t.Errorf("later: %v", got)
	}
}
