package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// Words is what one node tells of its replicas: what it stores, and the sums of what it
// has read.
type Words struct {
	Replicas []Replica
	Sums     map[Key][]Sum
	// Suspect are the replicas that it does not trust, and that nobody may rebuild from.
	Suspect map[Key]bool
}

// Options say what is scrubbed and how. All functions are required.
type Options struct {
	// Replicas lists what this node stores, at this moment.
	Replicas func() ([]Replica, error)
	// Store is the folder of the store, below which streams have their files.
	Store string
	// Others hears the other nodes, all of which it takes to judge a replica.
	Others func(context.Context) ([]Words, error)
	Nodes  int // the others

	// StepDown makes this node give up the lead of a stream and of its consumers.
	StepDown func(Key) error
	// Rebuild removes the replica and returns when it is there again. It holds a lock that
	// no other node holds meanwhile.
	Rebuild func(context.Context, Key, func(context.Context) error) error

	Every          time.Duration // between comparisons of what is stored; 0 is a minute
	ReadEvery      time.Duration // between readings of all files; 0 is a day
	BytesPerSecond int64         // of reading; 0 is 5 MiB
	Log            *slog.Logger
}

// Defaults of Options.
const (
	defaultEvery     = time.Minute
	defaultReadEvery = 24 * time.Hour
	defaultRate      = 5 << 20
	// again is the time between two looks at what is suspicious.
	again = 2 * time.Second
	// aside is how often a replica that is not trusted is kept from leading.
	aside      = 2 * time.Second
	mostRecent = 100 // findings that are remembered
)

// States of a finding.
const (
	Found     = "found"
	Repairing = "repairing"
	Repaired  = "repaired"
	Failed    = "failed"
)

// Finding is a replica of this node that was not what the others are.
type Finding struct {
	At      time.Time
	Key     Key
	Project string
	What    string
	State   string
}

// Counts are totals since the start.
type Counts struct {
	Passes, Readings int64 // of comparisons, and of all files
	Bytes            int64 // stored in streams that were read
	Found, Repaired  int64
}

// Scrubber judges the replicas of one node until it is closed.
type Scrubber struct {
	o     Options
	stop  context.CancelFunc
	work  sync.WaitGroup
	now   chan struct{} // asks for a pass
	reads chan struct{} // asks for a reading

	rebuilds map[Key]int // by the goroutine that compares

	mu       sync.Mutex
	sums     map[Key][]Sum
	findings []Finding
	counts   Counts
}

// Start begins to scrub.
func Start(o Options) (*Scrubber, error) {
	if o.Replicas == nil || o.Others == nil || o.StepDown == nil || o.Rebuild == nil || o.Store == "" || o.Nodes < 2 {
		return nil, errors.New("scrub: an option is missing, or there are fewer than two other nodes")
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.ReadEvery == 0 {
		o.ReadEvery = defaultReadEvery
	}
	if o.BytesPerSecond == 0 {
		o.BytesPerSecond = defaultRate
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Scrubber{o: o, stop: cancel, now: make(chan struct{}, 1), reads: make(chan struct{}, 1), sums: make(map[Key][]Sum), rebuilds: make(map[Key]int)}
	s.work.Go(func() { s.compare(ctx) })
	s.work.Go(func() { s.read(ctx) })
	s.work.Go(func() { s.keepAside(ctx) })
	return s, nil
}

// Close ends the scrubbing and waits for it. A replica that is being rebuilt stays as far
// as it is, which the node goes on with by itself.
func (s *Scrubber) Close() {
	s.stop()
	s.work.Wait()
}

// Now asks for a comparison without waiting for its time.
func (s *Scrubber) Now() {
	select {
	case s.now <- struct{}{}:
	default: // one is asked for already
	}
}

// ReadNow asks for a reading of all files without waiting for its time.
func (s *Scrubber) ReadNow() {
	select {
	case s.reads <- struct{}{}:
	default:
	}
}

// Words is what this node tells the others.
func (s *Scrubber) Words() (Words, error) {
	replicas, err := s.o.Replicas()
	if err != nil {
		return Words{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := Words{Replicas: replicas, Sums: make(map[Key][]Sum, len(s.sums)), Suspect: make(map[Key]bool)}
	for k, sums := range s.sums {
		w.Sums[k] = sums // never changed in place
	}
	for _, f := range s.findings {
		if f.State != Repaired {
			w.Suspect[f.Key] = true
		}
	}
	return w, nil
}

// Findings returns the latest, oldest first.
func (s *Scrubber) Findings() []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Finding(nil), s.findings...)
}

// Counts returns totals.
func (s *Scrubber) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// compare compares what is stored, and repairs what was found, until ctx ends.
func (s *Scrubber) compare(ctx context.Context) {
	t := time.NewTicker(s.o.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.now:
		}
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.LogAttrs(ctx, slog.LevelDebug, "replicas could not be compared", slog.Any("err", err))
		}
		s.repairAll(ctx)
	}
}

// pass looks at all streams, and again at those that look wrong.
func (s *Scrubber) pass(ctx context.Context) error {
	seen := make(map[Key]suspicion)
	was := make(map[Key]Replica)
	for look := 1; ; look++ {
		own, err := s.o.Replicas()
		if err != nil {
			return err
		}
		others, err := s.others(ctx)
		if err != nil {
			return err
		}
		still := make(map[Key]suspicion)
		for _, r := range own {
			if look > 1 && seen[r.Key].what == "" {
				continue
			}
			theirs, ok := of(r.Key, others)
			if !ok {
				continue
			}
			suspect, wrong := suspect(r, theirs)
			// What moves is not the same damage seen again, unless it is a hole.
			if !wrong || look > 1 && suspect.looks > 2 && was[r.Key] != r {
				continue
			}
			if suspect.looks <= look {
				s.found(r.Key, r.Project, suspect.what)
				continue
			}
			still[r.Key], was[r.Key] = suspect, r
		}
		if seen = still; len(seen) == 0 {
			break
		}
		if err := sleep(ctx, again); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.counts.Passes++
	s.mu.Unlock()
	return nil
}

var errSilent = errors.New("not all nodes tell what they store")

func (s *Scrubber) others(ctx context.Context) ([]Words, error) {
	others, err := s.o.Others(ctx)
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

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// found notes that a replica is not to be trusted, and makes it give up the lead at once.
func (s *Scrubber) found(k Key, project, what string) {
	s.mu.Lock()
	for _, f := range s.findings {
		if f.Key == k && f.State != Repaired {
			s.mu.Unlock()
			return // known
		}
	}
	s.findings = append(s.findings, Finding{At: time.Now().UTC(), Key: k, Project: project, What: what, State: Found})
	if len(s.findings) > mostRecent {
		s.findings = s.findings[len(s.findings)-mostRecent:]
	}
	s.counts.Found++
	s.mu.Unlock()
	s.o.Log.Error("a replica is damaged: it is kept from leading and rebuilt", "stream", k.Stream, "project", project, "what", what)
	s.stepDown(k)
}

func (s *Scrubber) stepDown(k Key) {
	if err := s.o.StepDown(k); err != nil {
		s.o.Log.Warn("a damaged replica could not give up the lead", "stream", k.Stream, "err", err)
	}
}

// keepAside makes replicas that are not trusted give up the lead whenever they got it.
func (s *Scrubber) keepAside(ctx context.Context) {
	t := time.NewTicker(aside)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, f := range s.Findings() {
			if f.State == Found || f.State == Failed {
				s.stepDown(f.Key)
			}
		}
	}
}

// StreamFolder is where a store keeps a stream.
func StreamFolder(store string, k Key) string {
	return filepath.Join(store, "jetstream", k.Account, "streams", k.Stream)
}
