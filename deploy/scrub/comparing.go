package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// compare compares what is stored, and repairs what was found, until ctx ends.
func (s *Scrubber) compare(ctx context.Context) {
	t := time.NewTicker(s.o.Every)
	defer t.Stop()
	s.compareAtStart(ctx)
	close(s.first)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.now:
			s.repairAll(ctx) // what a reading has found is not looked at first
		}
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.LogAttrs(ctx, slog.LevelDebug, "replicas could not be compared", slog.Any("err", err))
		}
		s.repairAll(ctx)
	}
}

// compareAtStart compares as soon as all nodes tell what they store: what is missing at the
// front of a stream is not missed in its files.
func (s *Scrubber) compareAtStart(ctx context.Context) {
	if s.o.AtStart <= 0 {
		return
	}
	for end := time.Now().Add(s.o.AtStart); time.Now().Before(end); {
		if s.pass(ctx) == nil {
			break
		}
		if sleep(ctx, lookEvery) != nil {
			return
		}
	}
	s.repairAll(ctx)
}

// pass looks at all streams, and again at those that look wrong.
func (s *Scrubber) pass(ctx context.Context) error {
	seen := make(map[Key]suspicion)
	lasting := make(map[Key]since)
	for look := 1; ; look++ {
		own, err := s.o.Replicas()
		if err != nil {
			return err
		}
		others, err := s.others(ctx, nil)
		if err != nil {
			return err
		}
		still := make(map[Key]suspicion)
		now := time.Now()
		for _, r := range own {
			if look > 1 && seen[r.Key].what == "" {
				continue
			}
			theirs, ok := of(r.Key, others)
			if !ok {
				continue
			}
			suspect, wrong := suspect(r, theirs, now, s.o.Slack)
			// What moves is not the same damage seen again, unless it is a hole.
			if !wrong || look > 1 && suspect.looks > 2 && seen[r.Key].what != suspect.what {
				continue
			}
			if suspect.looks > look {
				still[r.Key] = suspect
				continue
			}
			if suspect.lasting {
				first, ok := s.lasting[r.Key]
				if !ok || first.what != suspect.what {
					first = since{suspect.what, now}
				}
				lasting[r.Key] = first
				if now.Sub(first.at) < s.o.Slack {
					continue
				}
			}
			s.found(r.Key, r.Project, suspect.what)
		}
		if seen = still; len(seen) == 0 {
			break
		}
		if err := sleep(ctx, again); err != nil {
			return err
		}
	}
	s.lasting = lasting
	s.mu.Lock()
	s.counts.Passes++
	s.counts.Passed = time.Now()
	s.mu.Unlock()
	return nil
}

var errSilent = errors.New("not all nodes tell what they store")

func (s *Scrubber) others(ctx context.Context, about *Question) ([]Words, error) {
	others, err := s.o.Others(ctx, about)
	if err == nil && len(others) != s.o.Nodes {
		err = fmt.Errorf("%w: %d of %d others do", errSilent, len(others), s.o.Nodes)
	}
	return others, err
}

// of returns what the others store of a stream, if all of them do and trust it.
func of(k Key, others []Words) ([]Replica, bool) {
	var all []Replica
	for _, w := range others {
		for _, r := range w.Replicas {
			if r.Key == k && !w.Suspect[k] {
				all = append(all, r)
			}
		}
	}
	return all, len(all) == len(others) && len(all) > 0
}
