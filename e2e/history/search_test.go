package history

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// cursor is the state of the reference: how many messages are in the log, and how many
// are settled.
type cursor struct{ stored, floor int32 }

// act is an operation of the reference.
type act struct {
	kind   byte // 'a'ppend, 't'ake, 's'ettle, 'm'ay settle
	places []int32
}

// reference is a log with one cursor, in which every operation is searched for.
func reference() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return cursor{} },
		Step: func(s, input, _ any) (bool, any) {
			c, a := s.(cursor), input.(act)
			switch a.kind {
			case 'a':
				ok := a.places[0] == c.stored
				c.stored++
				return ok, c
			case 't':
				for i, p := range a.places {
					if p != c.floor+int32(i) || p >= c.stored {
						return false, c
					}
				}
				return true, c
			}
			for _, p := range a.places {
				switch {
				case p == c.floor:
					c.floor++
				case p > c.floor && a.kind == 's':
					return false, c
				}
			}
			return true, c
		},
	}
}

func (s *tale) operations() []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(kind byte, from, to time.Duration, places ...int32) {
		ops = append(ops, porcupine.Operation{Call: int64(from), Return: int64(to), Input: act{kind, places}})
	}
	for i, e := range s.entries {
		add('a', e.from, e.to, int32(i))
		if e.free != never {
			add('m', e.free, never, int32(i))
		}
	}
	for _, one := range s.steps {
		kind := byte('s')
		if one.takes {
			kind = 't'
		}
		add(kind, one.from, one.to, one.places...)
	}
	return ops
}

// randomTale plays a log with a few clients and then moves some of what was seen, so that
// about half of the stories have no order.
func randomTale(rng *rand.Rand) *tale {
	s := &tale{}
	at := func(now int) (from, to time.Duration) {
		return time.Duration(max(now-rng.IntN(4), 0)), time.Duration(now + rng.IntN(4))
	}
	n, now, floor := 1+rng.IntN(4), 3, 0
	for range n {
		from, to := at(now)
		s.entries = append(s.entries, entry{from: from, to: to, free: never})
		now += rng.IntN(3)
	}
	for range 1 + rng.IntN(6) {
		now += rng.IntN(3)
		from, to := at(now)
		if floor == n {
			break
		}
		batch := 1 + rng.IntN(n-floor)
		places := make([]int32, batch)
		for i := range places {
			places[i] = int32(floor + i)
		}
		one := step{from: from, to: to, takes: rng.IntN(2) == 0, places: places}
		switch {
		case one.takes:
		case rng.IntN(3) == 0: // without an answer
			for _, p := range places {
				s.entries[p].free = min(s.entries[p].free, from)
			}
			if rng.IntN(2) == 0 {
				floor += batch
			}
			continue
		default:
			floor += batch
		}
		s.steps = append(s.steps, one)
	}
	for range rng.IntN(4) {
		if len(s.steps) == 0 {
			break
		}
		one := &s.steps[rng.IntN(len(s.steps))]
		by := time.Duration(rng.IntN(21) - 10)
		one.from = max(one.from+by, 0)
		one.to = max(one.to+by, one.from)
	}
	slices.SortFunc(s.steps, func(a, b step) int { return cmp.Compare(a.from, b.from) })
	return s
}

func TestTheSearchAgreesWithTheReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	found := make(map[bool]int)
	for range 20_000 {
		s := randomTale(rng)
		want := porcupine.CheckOperations(reference(), s.operations())
		got, at := s.decide()
		found[want]++
		if got == undecided || (got == orderly) != want {
			t.Fatalf("the search says %d at %d, the reference %t of %+v", got, at, want, *s)
		}
	}
	if found[true] < 2000 || found[false] < 2000 {
		t.Errorf("%v: the stories decide nothing", found)
	}
}

// Calls without an answer used to make the search double with each of them.
func TestManyUnknownAcknowledgementsAreDecided(t *testing.T) {
	s := &tale{}
	const messages = 3000
	for i := range messages {
		at := time.Duration(10 * i)
		s.entries = append(s.entries, entry{from: at, to: at + 4000, free: at + 30})
		s.steps = append(s.steps, step{from: at + 20, to: at + 60, takes: true, places: []int32{int32(i)}})
	}
	if got, at := s.decide(); got != orderly {
		t.Errorf("a good history is %d at %d", got, at)
	}
	bad := s.steps[messages/2]
	bad.from, bad.to = s.steps[messages-1].to+1, s.steps[messages-1].to+2
	s.steps = append(s.steps, bad)
	if got, at := s.decide(); got != unordered || at != messages {
		t.Errorf("a message that comes again after all others is %d at %d", got, at)
	}
}

func TestTooManyCallsAtOnceAreUndecided(t *testing.T) {
	s := &tale{entries: []entry{{to: 1, free: never}}}
	for range mostOpen + 1 {
		s.steps = append(s.steps, step{from: 2, to: 3, takes: true, places: []int32{0}})
	}
	if got, _ := s.decide(); got != undecided {
		t.Errorf("more calls than the search can hold: %d", got)
	}
}
