package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// rebuildLimit bounds the rebuilding of one replica.
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
		if s.rebuilds[f.Key] >= mostRebuilds {
			continue
		}
		began := time.Now()
		err := s.repair(ctx, f.Key)
		switch {
		case err == nil:
			s.o.Log.Warn("a replica was rebuilt from the others", "stream", f.Key.Stream, "took", time.Since(began))
			s.mark(f.Key, Repaired)
		case errors.Is(err, errGone):
			s.mark(f.Key, Repaired)
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
	errHealthy = errors.New("there are not two healthy replicas to rebuild from")
)

// repair has a replica rebuilt when both others can be trusted and this one does not
// lead, and waits until it holds what they do.
func (s *Scrubber) repair(ctx context.Context, k Key) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildLimit)
	defer cancel()
	ready := func(ctx context.Context) error {
		own, err := s.follows(ctx, k)
		if err != nil {
			return err
		}
		others, err := s.others(ctx)
		if err != nil {
			return err
		}
		theirs, ok := of(k, others)
		if !ok {
			return errHealthy
		}
		for _, o := range theirs {
			if o.Made != own.Made || own.Whole && o.holes() > 0 {
				return errHealthy
			}
		}
		s.rebuilds[k]++
		s.mark(k, Repairing)
		return nil
	}
	if err := s.o.Rebuild(ctx, k, ready); err != nil {
		return err
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		err := s.equal(ctx, k)
		if err == nil || errors.Is(err, errGone) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-t.C:
		}
	}
}

// follows returns the replica once another one leads.
func (s *Scrubber) follows(ctx context.Context, k Key) (Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	for {
		s.stepDown(k)
		own, err := s.own(k)
		if err != nil || !own.Led {
			return own, err
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return own, fmt.Errorf("no other replica takes the lead: %w", err)
		}
	}
}

func (s *Scrubber) own(k Key) (Replica, error) {
	all, err := s.o.Replicas()
	if err != nil {
		return Replica{}, err
	}
	for _, r := range all {
		if r.Key == k {
			return r, nil
		}
	}
	return Replica{}, errGone
}

// equal reports whether the replica holds all that the others held a moment before.
func (s *Scrubber) equal(ctx context.Context, k Key) error {
	others, err := s.others(ctx)
	if err != nil {
		return err
	}
	own, err := s.own(k)
	if err != nil {
		return err
	}
	theirs, ok := of(k, others)
	if !ok {
		return errHealthy
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
