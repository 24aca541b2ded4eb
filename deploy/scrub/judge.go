package scrub

import (
	"fmt"
	"time"
)

// Key names a stream: the account it is in, by its public key, and its name there.
type Key struct {
	Account string `json:"a"`
	Stream  string `json:"s"`
}

// Replica is what one node stores of one stream.
type Replica struct {
	Key
	Project  string `json:"p,omitempty"` // what the account is called
	Made     int64  `json:"m"`           // when the stream was made, in nanoseconds of Unix time
	First    uint64 `json:"f"`
	Last     uint64 `json:"l"`
	Messages uint64 `json:"n"`
	Bytes    uint64 `json:"b"`
	// FirstAt is when the first message was stored, in nanoseconds of Unix time; 0 when
	// there is none.
	FirstAt int64 `json:"t,omitempty"`
	Led     bool  `json:"d,omitempty"` // by this node
	// Whole streams lose messages at their front only, so that any hole is damage.
	Whole bool `json:"-"`
	// Keep is for how long a message is kept, by what this node knows; 0 is for ever.
	Keep time.Duration `json:"-"`
}

// holes is how many messages are missing between the first and the last.
func (r Replica) holes() uint64 {
	if r.Messages == 0 || r.Last < r.First {
		return 0
	}
	if all := r.Last - r.First + 1; all > r.Messages {
		return all - r.Messages
	}
	return 0
}

// lacksFront reports whether the replica begins later than another one whose first
// message is not about to expire, so that neither time nor clocks that differ explain it.
func (r Replica) lacksFront(o Replica, now time.Time, slack time.Duration) bool {
	if o.Messages == 0 || r.First <= o.First || o.FirstAt <= 0 {
		return false
	}
	return r.Keep <= 0 || time.Unix(0, o.FirstAt).Add(r.Keep).After(now.Add(slack))
}

// suspicion is a difference that must last before it counts.
type suspicion struct {
	what string
	// looks is how often in a row it must be seen.
	looks int
	// lasting differences must be there, unchanged, for as long as clocks may differ:
	// messages with a life of their own end on each replica by its own clock.
	lasting bool
}

// suspect compares a replica with those of the other nodes, all of which must have
// answered. It is nothing that replicas are not equally far. Clocks may differ by slack.
func suspect(own Replica, others []Replica, now time.Time, slack time.Duration) (suspicion, bool) {
	for _, o := range others {
		if o.Made != own.Made {
			return suspicion{}, false // the name has been given to a new stream
		}
	}
	if own.Whole && own.holes() > 0 {
		for _, o := range others {
			if o.holes() > 0 {
				return suspicion{}, false
			}
		}
		return suspicion{what: fmt.Sprintf("it lacks %d messages that the other replicas have", own.holes()), looks: 2}, true
	}
	if own.Whole {
		// A purge reaches one replica before the others, but not for long.
		late := 0
		for _, o := range others {
			if own.lacksFront(o, now, slack) {
				late++
			}
		}
		if late == len(others) {
			return suspicion{what: fmt.Sprintf("it lacks the messages before %d, which the other replicas have", own.First), looks: 4}, true
		}
	}
	// What expires does so on each replica by itself, and what is deleted leaves the last
	// sequence as it is. So these are compared at the same sequences, and several times.
	a := others[0]
	for _, o := range others[1:] {
		if o.First != a.First || o.Last != a.Last || o.Messages != a.Messages || o.Bytes != a.Bytes && own.Whole {
			return suspicion{}, false
		}
	}
	same := own.Messages == a.Messages && (own.Bytes == a.Bytes || !own.Whole)
	if own.First != a.First || own.Last != a.Last || same {
		return suspicion{}, false
	}
	return suspicion{what: fmt.Sprintf("at sequence %d it holds %d messages in %d bytes, the other replicas %d in %d",
		own.Last, own.Messages, own.Bytes, a.Messages, a.Bytes), looks: 3, lasting: !own.Whole}, true
}

// differ returns the first range in which a replica is not what both others are, in
// words, or "". Ranges that one of them has not in the same length are left out: they
// are being written, or expire.
func differ(own []Sum, others [][]Sum) string {
	theirs := make([]map[uint64]Sum, len(others))
	for i, all := range others {
		theirs[i] = make(map[uint64]Sum, len(all))
		for _, s := range all {
			theirs[i][s.index()] = s
		}
	}
	for _, s := range own {
		a, known := theirs[0][s.index()]
		if !known || a.Bad != "" {
			continue
		}
		agree := true
		for _, m := range theirs[1:] {
			b, ok := m[s.index()]
			agree = agree && ok && b.Bad == "" && (s.Bad != "" || b == a)
		}
		switch {
		case !agree:
		case s.Bad != "":
			return s.Bad
		case s.From == a.From && s.To == a.To && s.Sum != a.Sum:
			return fmt.Sprintf("messages %d to %d are not what the other replicas hold", s.From, s.To)
		}
	}
	return ""
}
