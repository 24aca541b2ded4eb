package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
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
	if err := s.readAtStart(ctx); err != nil && ctx.Err() == nil {
		s.o.Log.LogAttrs(ctx, slog.LevelWarn, "what was read after the start could not be compared", slog.Any("err", err))
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case k := <-s.wants:
			err = s.readWanted(ctx, k)
		case stream := <-s.torn:
			err = s.examine(ctx, stream)
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
		if _, err := s.sumUp(ctx, r, p); err != nil {
			failed = err
		}
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

// sumUp reads the files of one stream, keeps the sums, and reports what cannot be read.
func (s *Scrubber) sumUp(ctx context.Context, r Replica, p *pace) (bad string, err error) {
	sums, err := s.readOne(ctx, r, p)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums[r.Key] = sums
	s.counts.Bytes += int64(r.Bytes)
	if i := slices.IndexFunc(sums, func(one Sum) bool { return one.Bad != "" }); i >= 0 {
		bad = sums[i].Bad
	}
	return bad, nil
}

// readAtStart reads as many streams as it has time for, and looks into what it cannot
// read: the checksums in the files tell without the other nodes that something is wrong.
func (s *Scrubber) readAtStart(ctx context.Context) error {
	if s.o.AtStart <= 0 || s.o.Unreadable {
		return nil
	}
	own, err := s.o.Replicas()
	if err != nil {
		return err
	}
	slices.SortFunc(own, func(a, b Replica) int { return cmp.Compare(a.Bytes, b.Bytes) })
	limited, cancel := context.WithTimeout(ctx, s.o.AtStart)
	defer cancel()
	var failed error
	streams, began, p := 0, time.Now(), &pace{bytesPerSecond: rateAtStart}
	for _, r := range own {
		if !r.Whole {
			continue
		}
		bad, err := s.sumUp(limited, r, p)
		if limited.Err() != nil {
			break
		}
		if err == nil && bad != "" {
			err = s.confirm(ctx, r, bad)
		}
		failed = errors.Join(failed, err)
		streams++
	}
	select {
	case <-s.first:
		s.o.Log.LogAttrs(ctx, slog.LevelInfo, "replicas were read and compared after the start", slog.Int("read", streams), slog.Duration("took", time.Since(began)))
	case <-ctx.Done():
	}
	return failed
}

// rateAtStart leaves the rest of the node enough of the disk and the processor.
const rateAtStart = 256 << 20 // bytes a second

const (
	// confirmTries is how often the others are asked for what they have read of a stream,
	// confirmEvery after each other.
	confirmTries = 10
	confirmEvery = time.Second
)

// examine reads a stream of which the storage has said that it is damaged. Where files
// mean nothing, that is believed.
func (s *Scrubber) examine(ctx context.Context, stream string) error {
	own, err := s.o.Replicas()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(own, func(r Replica) bool { return r.Stream == stream && r.Whole })
	if i < 0 {
		return nil
	}
	r := own[i]
	s.mu.Lock()
	known := s.untrusted(r.Key)
	s.mu.Unlock()
	if known {
		return nil
	}
	if s.o.Unreadable {
		s.found(r.Key, r.Project, "the storage cannot read a message of it")
		s.Now()
		return nil
	}
	bad, err := s.sumUp(ctx, r, &pace{})
	if err != nil || bad == "" {
		return err
	}
	return s.confirm(ctx, r, bad)
}

// confirm has the others read a stream of which this node cannot read all.
func (s *Scrubber) confirm(ctx context.Context, r Replica, bad string) error {
	s.o.Log.LogAttrs(ctx, slog.LevelWarn, "a replica cannot be read whole", slog.String("stream", r.Stream), slog.String("what", bad))
	for try := range confirmTries {
		// Whoever starts at the same moment may not listen yet, so it is asked again.
		if _, err := s.others(ctx, &Question{Key: r.Key, Read: try%3 == 0}); err != nil && !errors.Is(err, errSilent) {
			return err
		}
		if err := sleep(ctx, confirmEvery); err != nil {
			return err
		}
		// What was stored a moment ago may not have been in the files yet.
		if again, err := s.sumUp(ctx, r, &pace{}); err != nil || again == "" {
			return err
		}
		what, err := s.differs(ctx, r.Key)
		if err != nil && !errors.Is(err, errSilent) {
			return err
		}
		if what != "" {
			s.found(r.Key, r.Project, what)
			s.Now()
			return nil
		}
	}
	return nil // the others do not agree; it is read again in time
}

// readWanted reads a stream because another node wants to compare it now.
func (s *Scrubber) readWanted(ctx context.Context, k Key) error {
	own, err := s.o.Replicas()
	if err != nil || s.o.Unreadable {
		return err
	}
	for _, r := range own {
		if r.Key == k && r.Whole {
			_, err := s.sumUp(ctx, r, &pace{})
			return err
		}
	}
	return nil
}

// readOne reads the files of one stream. What has expired meanwhile is left out, and all
// of it when the member was started again meanwhile, which writes the newest files anew.
func (s *Scrubber) readOne(ctx context.Context, r Replica, p *pace) ([]Sum, error) {
	sums, err := readSums(ctx, r.Stream, filepath.Join(StreamFolder(s.o.Store, r.Key), "msgs"), r.First, r.Last, p)
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
	others, err := s.others(ctx, &Question{Key: k})
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
