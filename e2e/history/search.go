package history

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// tale is what is known of one log and a cursor in it. The order of the log is given, so
// that only instants are to be found.
type tale struct {
	entries []entry
	steps   []step
}

// entry is a message of the log.
type entry struct {
	from, to time.Duration // when it was stored
	// free is from when on the cursor may pass it at any time: an acknowledgement without
	// an answer, or a dead letter.
	free time.Duration
}

// step is a call that found or moved the cursor at some instant.
type step struct {
	call     int32
	from, to time.Duration
	takes    bool    // a batch was delivered; else it was settled
	places   []int32 // in the log
}

type verdict uint8

const (
	orderly verdict = iota
	unordered
	unplaced
	undecided
)

const (
	mostOpen   = 64      // calls at once
	mostStates = 1 << 20 // states looked at for the end of one call
)

// state is where the cursor may be, and which of the open calls have had their instant.
type state struct {
	floor int32
	done  uint64
}

// decide reports whether instants exist, or else the first step or entry for which there
// is none. Nothing needs a message to be absent, so each is stored as early as it can be.
// Of calls only those under way at one time can change places: it suffices to give calls
// their instants just before one of them ends (Lowe, Testing for Linearizability, 2017),
// and the cursor passes a free message when that is needed, not before.
func (s *tale) decide() (verdict, int) {
	there := make([]time.Duration, len(s.entries))
	var last time.Duration
	for i, e := range s.entries {
		last = max(last, e.from)
		if there[i] = last; last > e.to {
			return unplaced, i
		}
	}
	ends := make([]int, len(s.steps))
	for i := range ends {
		ends[i] = i
	}
	slices.SortStableFunc(ends, func(a, b int) int { return cmp.Compare(s.steps[a].to, s.steps[b].to) })
	var slots [mostOpen]int // of open calls
	var used uint64
	now := map[state]struct{}{{}: {}}
	next := 0 // step to begin
	for _, ending := range ends {
		for ; next < len(s.steps) && s.steps[next].from <= s.steps[ending].to; next++ {
			free := bits.TrailingZeros64(^used)
			if free == mostOpen {
				return undecided, next
			}
			slots[free] = next
			used |= 1 << free
		}
		bit := uint64(0)
		for open := used; open != 0; open &= open - 1 {
			if k := bits.TrailingZeros64(open); slots[k] == ending {
				bit = 1 << k
			}
		}
		after := make(map[state]struct{})
		seen := make(map[state]struct{}, len(now))
		var todo []state
		for st := range now {
			todo = append(todo, st)
			seen[st] = struct{}{}
		}
		for len(todo) > 0 {
			st := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if st.done&bit != 0 {
				st.done &^= bit
				after[st] = struct{}{}
				continue
			}
			for open := used &^ st.done; open != 0; open &= open - 1 {
				k := bits.TrailingZeros64(open)
				floor, ok := s.apply(&s.steps[slots[k]], st.floor, there, s.steps[ending].to)
				to := state{floor, st.done | 1<<k}
				if _, known := seen[to]; !ok || known {
					continue
				}
				seen[to] = struct{}{}
				todo = append(todo, to)
			}
			if len(seen) > mostStates {
				return undecided, ending
			}
		}
		if len(after) == 0 {
			return unordered, ending
		}
		used &^= bit
		now = after
	}
	return orderly, 0
}

// apply is where the cursor is after a step at an instant, if the step is possible then.
func (s *tale) apply(one *step, floor int32, there []time.Duration, at time.Duration) (int32, bool) {
	pass := func(to int32) bool {
		for ; floor < to; floor++ {
			if s.entries[floor].free > at {
				return false
			}
		}
		return true
	}
	if one.takes {
		first := one.places[0]
		if first < floor || !pass(first) {
			return floor, false
		}
		for i, p := range one.places {
			if p != first+int32(i) || there[p] > at {
				return floor, false
			}
		}
		return floor, true
	}
	for _, p := range one.places {
		if p < floor {
			continue
		}
		if !pass(p) {
			return floor, false
		}
		floor++
	}
	return floor, true
}
