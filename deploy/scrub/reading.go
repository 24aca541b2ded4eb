package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// compareEvery is how often sums are compared that were read before, since the other
// nodes read at other times.
const compareEvery = time.Hour

// read reads all files now and then, and compares their sums with the others'.
func (s *Scrubber) read(ctx context.Context) {
	reading := time.NewTimer(min(s.o.ReadEvery, firstReading))
	defer reading.Stop()
	comparing := time.NewTicker(min(s.o.ReadEvery, compareEvery))
	defer comparing.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-comparing.C:
			err = s.compareRead(ctx)
		case <-reading.C:
			err = s.readAll(ctx)
			reading.Reset(s.o.ReadEvery)
		case <-s.reads:
			err = s.readAll(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Log.LogAttrs(ctx, slog.LevelWarn, "not all files of the store could be read and compared", slog.Any("err", err))
		}
	}
}

// compareRead compares what was read before.
func (s *Scrubber) compareRead(ctx context.Context) error {
	own, err := s.o.Replicas()
	if err != nil {
		return err
	}
	return s.compareSums(ctx, own, &pace{bytesPerSecond: s.o.BytesPerSecond})
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
		if !r.Whole || s.o.Unreadable {
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
	s.mu.Unlock()
	if err := s.compareSums(ctx, own, p); err != nil {
		return errors.Join(failed, err)
	}
	s.mu.Lock()
	s.counts.Readings++
	s.counts.Read = time.Now()
	s.mu.Unlock()
	return failed
}

// readOne reads the files of one stream. What has expired meanwhile is left out, and all
// of it when the member was started again meanwhile, which writes the newest files anew.
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
		if n.Last < r.Last {
			return nil, nil
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
	for _, r := range own {
		if !r.Whole {
			continue
		}
		what, err := s.differs(ctx, r.Key)
		if err != nil {
			return err
		}
		if what == "" {
			continue
		}
		// A disk that stalls keeps back what was stored a moment ago.
		if err := sleep(ctx, settle); err != nil {
			return err
		}
		sums, err := s.readOne(ctx, r, p)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.sums[r.Key] = sums
		s.mu.Unlock()
		if what, err = s.differs(ctx, r.Key); err != nil {
			return err
		}
		if what != "" {
			s.found(r.Key, r.Project, what)
			s.Now()
		}
	}
	return nil
}

// differs says how the sums of a stream differ from the others', or "".
func (s *Scrubber) differs(ctx context.Context, k Key) (string, error) {
	s.mu.Lock()
	own := s.sums[k]
	s.mu.Unlock()
	if len(own) == 0 {
		return "", nil
	}
	others, err := s.others(ctx, &k)
	if err != nil {
		return "", err
	}
	var theirs [][]Sum
	for _, w := range others {
		if len(w.Sums) == 0 || w.Suspect[k] {
			return "", nil
		}
		theirs = append(theirs, w.Sums)
	}
	return differ(own, theirs), nil
}
