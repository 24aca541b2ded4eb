package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// read reads all files now and then, and compares their sums with the others'.
func (s *Scrubber) read(ctx context.Context) {
	t := time.NewTicker(s.o.ReadEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.reads:
		}
		if err := s.readAll(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.LogAttrs(ctx, slog.LevelWarn, "not all files of the store could be read", slog.Any("err", err))
		}
	}
}

func (s *Scrubber) readAll(ctx context.Context) error {
	own, err := s.o.Replicas()
	if err != nil {
		return err
	}
	// What was stored a moment ago may not be in the files yet.
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	p := &pace{bytesPerSecond: s.o.BytesPerSecond}
	there := make(map[Key]bool)
	var failed error
	for _, r := range own {
		if !r.Whole {
			continue
		}
		there[r.Key] = true
		sums, err := s.readOne(ctx, r, p)
		if err != nil {
			failed = err
			continue
		}
		s.mu.Lock()
		s.sums[r.Key] = sums
		s.counts.Bytes += int64(r.Bytes)
		s.mu.Unlock()
	}
	s.mu.Lock()
	for k := range s.sums {
		if !there[k] {
			delete(s.sums, k)
		}
	}
	s.counts.Readings++
	s.mu.Unlock()
	return errors.Join(failed, s.compareSums(ctx, own, p))
}

// readOne reads the files of one stream. What has expired meanwhile is left out.
func (s *Scrubber) readOne(ctx context.Context, r Replica, p *pace) ([]Sum, error) {
	sums, err := readSums(ctx, filepath.Join(StreamFolder(s.o.Store, r.Key), "msgs"), r.First, r.Last, p)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", r.Stream, err)
	}
	now, err := s.o.Replicas()
	if err != nil {
		return nil, err
	}
	for _, n := range now {
		if n.Key != r.Key || n.Made != r.Made {
			continue
		}
		if n.First == r.First {
			return sums, nil
		}
		for len(sums) > 0 && sums[0].From < n.First {
			sums = sums[1:]
		}
		return sums, nil
	}
	return nil, nil // it was deleted
}

// compareSums looks for ranges that differ from both others', and reads the files of the
// stream once more before it believes it.
func (s *Scrubber) compareSums(ctx context.Context, own []Replica, p *pace) error {
	others, err := s.others(ctx)
	if err != nil {
		return err
	}
	for _, r := range own {
		if !r.Whole || s.differs(r.Key, others) == "" {
			continue
		}
		sums, err := s.readOne(ctx, r, p)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.sums[r.Key] = sums
		s.mu.Unlock()
		if others, err = s.others(ctx); err != nil {
			return err
		}
		if what := s.differs(r.Key, others); what != "" {
			s.found(r.Key, r.Project, what)
			s.Now()
		}
	}
	return nil
}

// differs says how the sums of a stream differ from the others', or "".
func (s *Scrubber) differs(k Key, others []Words) string {
	s.mu.Lock()
	own := s.sums[k]
	s.mu.Unlock()
	var theirs [][]Sum
	for _, w := range others {
		sums, ok := w.Sums[k]
		if !ok || w.Suspect[k] {
			return ""
		}
		theirs = append(theirs, sums)
	}
	return differ(own, theirs)
}
