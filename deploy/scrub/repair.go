package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	// rebuildLimit bounds how long all other repairs wait for one.
	rebuildLimit = 10 * time.Minute
	lookEvery    = 500 * time.Millisecond
	// stepLimit is how long another replica may take to get the lead.
	stepLimit = 20 * time.Second
	// mostRebuilds bounds how often one stream is rebuilt in the life of a process: what
	// is different again after that is not damage of a disk.
	mostRebuilds = 5
)

// repairAll rebuilds what was found, one replica after the other.
func (s *Scrubber) repairAll(ctx context.Context) {
	for _, f := range s.Findings() {
		if ctx.Err() != nil || f.State != Found && f.State != Failed {
			continue
		}
		if s.rebuilds[f.Key] >= mostRebuilds && !s.removed[f.Key] {
			continue
		}
		began := time.Now()
		err := s.repair(ctx, f.Key)
		switch {
		case err == nil:
			s.o.Log.Warn("a replica was rebuilt from the others", "stream", f.Key.Stream, "took", time.Since(began))
			s.mark(f.Key, Repaired)
			delete(s.removed, f.Key)
		case errors.Is(err, errGone):
			s.mark(f.Key, Repaired)
			delete(s.removed, f.Key)
		case ctx.Err() == nil:
			s.o.Log.LogAttrs(ctx, slog.LevelError, "a damaged replica is not rebuilt yet", slog.String("stream", f.Key.Stream), slog.Any("err", err))
			s.mark(f.Key, Failed)
		}
	}
}

// mark gives the open finding of a stream a state.
func (s *Scrubber) mark(k Key, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.findings {
		if f := &s.findings[i]; f.Key == k && f.State != Repaired {
			f.State = state
			if state == Repaired {
				s.counts.Repaired++
				delete(s.sums, k)
			}
		}
	}
}

var (
	errGone    = errors.New("the stream was deleted")
	errAbsent  = errors.New("this node has no replica of it at present")
	errHealthy = errors.New("there are not two healthy replicas to rebuild from")
)

// repair has a replica rebuilt when both others can be trusted and this one does not
// lead, and waits until it holds what they do. For one finding the files are removed once:
// after that the replica catches up, however long it takes.
func (s *Scrubber) repair(ctx context.Context, k Key) error {
	if s.removed[k] {
		ctx, cancel := context.WithTimeout(ctx, stepLimit)
		defer cancel()
		return s.awaitEqual(ctx, k)
	}
	ctx, cancel := context.WithTimeout(ctx, rebuildLimit)
	defer cancel()
	return s.o.Rebuild(ctx, k, func(ctx context.Context) error {
		if _, err := s.follows(ctx, k); err != nil {
			return err
		}
		if err := s.awaitSound(ctx, k); err != nil {
			return err
		}
		s.mark(k, Repairing)
		return nil
	}, func(ctx context.Context) error {
		s.rebuilds[k]++
		s.removed[k] = true
		return s.awaitEqual(ctx, k)
	})
}

// until asks again and again until f is content, or fails for good.
func until(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || errors.Is(err, errGone) {
			return err
		}
		if sleep(ctx, lookEvery) != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func (s *Scrubber) awaitEqual(ctx context.Context, k Key) error {
	return until(ctx, func() error { return s.equal(ctx, k) })
}

// awaitSound waits, for a while, until both others are whole and have all that either of
// them had a moment before. What was ever confirmed is on two replicas of three, and so
// on one of these two at least, and then on both: this one can go.
func (s *Scrubber) awaitSound(ctx context.Context, k Key) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	before, err := s.theirs(ctx, k)
	if err != nil {
		return err
	}
	return until(ctx, func() error {
		own, err := s.own(ctx, k)
		if err != nil {
			return err
		}
		now, err := s.theirs(ctx, k)
		if err != nil {
			return err
		}
		err = sound(own, before, now, time.Now(), s.o.Slack)
		before = now
		return err
	})
}

// theirs is what the others store of a stream, if all of them trust theirs.
func (s *Scrubber) theirs(ctx context.Context, k Key) ([]Replica, error) {
	others, err := s.others(ctx, nil)
	if err != nil {
		return nil, err
	}
	theirs, ok := of(k, others)
	if !ok {
		return nil, fmt.Errorf("%w: not all of them have it and trust it", errHealthy)
	}
	return theirs, nil
}

// sound reports why a replica cannot be rebuilt from the others, by what they were and
// are, or nil.
func sound(own Replica, before, now []Replica, at time.Time, slack time.Duration) error {
	var last uint64
	for _, r := range before {
		last = max(last, r.Last)
	}
	leads := 0
	for i, r := range now {
		r.Whole, r.Keep = own.Whole, own.Keep
		for j, o := range now {
			switch {
			case i == j:
			case r.Whole && r.lacksFront(o, at, slack):
				return fmt.Errorf("%w: one begins at message %d, another at %d", errHealthy, r.First, o.First)
			case r.First == o.First && r.Last == o.Last && r.Messages != o.Messages:
				return fmt.Errorf("%w: one has %d messages, another %d", errHealthy, r.Messages, o.Messages)
			}
		}
		switch {
		case r.Made != own.Made:
			return fmt.Errorf("%w: the stream was made anew", errHealthy)
		case r.Whole && r.holes() > 0:
			return fmt.Errorf("%w: one lacks %d messages", errHealthy, r.holes())
		case r.Last < last:
			return fmt.Errorf("%w: one has got to message %d of %d", errHealthy, r.Last, last)
		}
		if r.Led {
			leads++
		}
	}
	if leads != 1 {
		return fmt.Errorf("%w: %d of them lead", errHealthy, leads)
	}
	return nil
}

// follows returns the replica once another one leads.
func (s *Scrubber) follows(ctx context.Context, k Key) (Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	for {
		s.stepDown(k)
		own, err := s.own(ctx, k)
		if err != nil || !own.Led {
			return own, err
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return own, fmt.Errorf("no other replica takes the lead: %w", err)
		}
	}
}

// own returns this node's replica, or errGone if no node has one: while a member starts,
// and after the files were removed, it is not there either.
func (s *Scrubber) own(ctx context.Context, k Key) (Replica, error) {
	all, err := s.o.Replicas()
	if err != nil {
		return Replica{}, err
	}
	for _, r := range all {
		if r.Key == k {
			return r, nil
		}
	}
	others, err := s.others(ctx, nil)
	if err != nil {
		return Replica{}, err
	}
	for _, w := range others {
		if slices.ContainsFunc(w.Replicas, func(r Replica) bool { return r.Key == k }) {
			return Replica{}, errAbsent
		}
	}
	return Replica{}, errGone
}

// equal reports whether the replica holds all that the others held a moment before.
func (s *Scrubber) equal(ctx context.Context, k Key) error {
	theirs, err := s.theirs(ctx, k)
	own, absent := s.own(ctx, k)
	switch {
	case errors.Is(absent, errGone) || err == nil && absent != nil:
		return absent
	case err != nil:
		return err
	}
	for _, o := range theirs {
		if own.Last < o.Last || own.First > o.First && own.Messages < o.Messages {
			return fmt.Errorf("it has messages %d to %d, another replica %d to %d", own.First, own.Last, o.First, o.Last)
		}
	}
	if own.Whole && own.holes() > 0 {
		return fmt.Errorf("it lacks %d messages", own.holes())
	}
	return nil
}
