package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"dms/mapping/dms"
)

// tally is what is on record about the deliveries of one message to a group, by their
// numbers. A failure counts when it is on record that the delivery reached a client:
// what a node had in hand when it died is charged to nobody.
//
// Most messages never get one. It is written when a delivery is failed, when it
// expires, or when it is returned without having been handed out.
type tally struct {
	Charged []uint32 `json:"charged,omitempty"` // reached a client and was not settled
	Free    []uint32 `json:"free,omitempty"`    // is nobody's failure
	Older   int      `json:"older,omitempty"`   // free ones that are not listed any more
	Reason  string   `json:"reason,omitempty"`  // of the last failure that was charged
	First   int64    `json:"first,omitempty"`   // when it was first handed out, epoch milliseconds; 0: not known
}

// mostFree bounds the list of free deliveries.
const mostFree = 100

// known is how many deliveries are on record.
func (t tally) known() int { return len(t.Charged) + len(t.Free) + t.Older }

// add takes a delivery into the tally, unless it is there already. A delivery that was
// failed is not charged again when it expires. One that was charged because its node
// stopped, and is then returned by its client as not failed, is free.
func (t *tally) add(delivery uint32, charge bool) (changed bool) {
	i := slices.Index(t.Charged, delivery)
	switch {
	case slices.Contains(t.Free, delivery) || i >= 0 && charge:
		return false
	case i >= 0:
		t.Charged = slices.Delete(t.Charged, i, i+1)
	case charge:
		t.Charged = append(t.Charged, delivery)
		return true
	}
	t.Free = append(t.Free, delivery)
	if n := len(t.Free) - mostFree; n > 0 {
		t.Free, t.Older = t.Free[n:], t.Older+n
	}
	return true
}

func (s *session) tally(ctx context.Context, at reading, seq uint64) (t tally, revision uint64, err error) {
	value, revision, err := s.ctl.get(ctx, tallyKey(at, seq))
	if err != nil || revision == 0 {
		return tally{}, revision, err
	}
	return t, revision, json.Unmarshal(value, &t)
}

// book puts a delivery on record and returns the message's tally. It does nothing on
// queues without dead letters, where nobody counts.
func (s *session) book(ctx context.Context, q *queue, at reading, b booking) (tally, error) {
	if !q.DeadLetters() {
		return tally{}, nil
	}
	for {
		t, revision, err := s.tally(ctx, at, b.seq)
		if err != nil || !t.add(b.delivery, b.charge) {
			return t, err
		}
		if b.charge {
			t.Reason = b.reason
		}
		if t.First == 0 && b.delivery == 1 && !b.at.IsZero() {
			t.First = b.at.UnixMilli()
		}
		_, err = s.ctl.put(ctx, tallyKey(at, b.seq), mustJSON(t), revision, dms.MaxRetention)
		if !errors.Is(err, errConflict) {
			return t, err
		}
	}
}

// bookLost puts those of a message's deliveries on record, in one write, that nobody
// has put there.
func (s *session) bookLost(ctx context.Context, at reading, seq uint64, before uint32) error {
	for {
		t, revision, err := s.tally(ctx, at, seq)
		if err != nil {
			return err
		}
		changed := false
		for n := uint32(1); n < before; n++ {
			if !slices.Contains(t.Charged, n) {
				changed = t.add(n, false) || changed
			}
		}
		if !changed {
			return nil
		}
		_, err = s.ctl.put(ctx, tallyKey(at, seq), mustJSON(t), revision, dms.MaxRetention)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
}

// booking is one delivery to put on record.
type booking struct {
	seq      uint64
	delivery uint32
	charge   bool
	reason   string    // why it failed, if it is charged
	at       time.Time // when it was handed out, if that is known
}

// Reasons of failures for which nobody gave one.
const (
	reasonExpired = "it was not acknowledged in time"
	reasonFailed  = "the consumer failed it"
)

// booksAtOnce is how many records are written beside each other.
const booksAtOnce = 16

// bookAll puts deliveries on record beside each other, and returns what went wrong.
func (s *session) bookAll(ctx context.Context, q *queue, at reading, all []booking) error {
	if !q.DeadLetters() {
		return nil
	}
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	slots := make(chan struct{}, booksAtOnce)
	for _, b := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := s.book(ctx, q, at, b); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}
