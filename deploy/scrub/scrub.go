package scrub

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Words is what one node tells of its replicas: what it stores, and the sums of what it
// has read of the stream that it was asked about.
type Words struct {
	Replicas []Replica
	Sums     []Sum // nil when it was asked about none, or has not read it
	// Suspect are the replicas that it does not trust, and that nobody may rebuild from.
	Suspect map[Key]bool
}

// Question asks a node for the sums of a stream.
type Question struct {
	Key
	Read bool // the stream is to be read soon, and be asked for again
}

// Options say what is scrubbed and how. All functions are required.
type Options struct {
	// Replicas lists what this node stores, at this moment.
	Replicas func() ([]Replica, error)
	// Store is the folder of the store, below which streams have their files.
	Store string
	// Others hears the other nodes, all of which it takes to judge a replica. It asks for
	// the sums of a stream unless that is nil.
	Others func(ctx context.Context, about *Question) ([]Words, error)
	Nodes  int // the others

	// StepDown makes this node give up the lead of a stream and of its consumers.
	StepDown func(Key) error
	// Rebuild removes the replica and returns when the member runs again. It calls ready
	// before, which tells whether that may be done, and done after, which returns when the
	// replica is whole again. All the while it holds a lock that no other node holds.
	Rebuild func(ctx context.Context, k Key, ready, done func(context.Context) error) error

	// AtStart is for how long messages are read right after the start, much faster
	// than later, so that a replica which was damaged meanwhile does not get to lead first.
	AtStart        time.Duration
	Every          time.Duration // between comparisons of what is stored; 0 is a minute
	ReadEvery      time.Duration // between readings of all files; 0 is a day
	BytesPerSecond int64         // of reading; 0 is 5 MiB
	// Unreadable files, such as encrypted ones, are not read: only counts are compared.
	Unreadable bool
	// Slack is by how much clocks of nodes may differ without anybody being suspected of
	// anything; 0 is 10 minutes.
	Slack time.Duration
	Log   *slog.Logger
}

// Defaults of Options.
const (
	defaultEvery     = time.Minute
	defaultReadEvery = 24 * time.Hour
	defaultRate      = 5 << 20
	defaultSlack     = 10 * time.Minute
	// firstReading is when all files are read for the first time, so that nodes which
	// start often read them at all.
	firstReading = 10 * time.Minute
	// again is the time between two looks at what is suspicious.
	again = 2 * time.Second
	// aside is how often a replica that is not trusted is kept from leading.
	aside      = 2 * time.Second
	mostRecent = 100 // findings that are remembered after they were repaired
	wanted     = 64  // streams that others may want to be read at a time
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
	// Passed and Read are when the last of these ended; zero is never.
	Passed, Read time.Time
}

// Scrubber judges the replicas of one node until it is closed.
type Scrubber struct {
	o     Options
	stop  context.CancelFunc
	work  sync.WaitGroup
	now   chan struct{} // asks for a pass
	reads chan struct{} // asks for a reading
	wants chan Key      // asks for a reading of one stream
	torn  chan string   // asks for a look into a stream of this name
	first chan struct{} // closed when replicas have been compared after the start

	// Of the goroutine that compares: how often replicas were removed, those whose
	// rebuilding is awaited, and differences that may be explained by clocks.
	rebuilds map[Key]int
	removed  map[Key]bool
	lasting  map[Key]since

	mu       sync.Mutex
	sums     map[Key][]Sum
	findings []Finding
	counts   Counts
}

// since is from when on a difference has been the same.
type since struct {
	what string
	at   time.Time
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
	if o.Slack == 0 {
		o.Slack = defaultSlack
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Scrubber{
		o: o, stop: cancel, now: make(chan struct{}, 1), reads: make(chan struct{}, 1), wants: make(chan Key, wanted), torn: make(chan string, wanted), first: make(chan struct{}), sums: make(map[Key][]Sum),
		rebuilds: make(map[Key]int), removed: make(map[Key]bool), lasting: make(map[Key]since),
	}
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

// LookInto has a stream looked into, in which the storage could not read a message.
func (s *Scrubber) LookInto(stream string) {
	select {
	case s.torn <- stream:
	default: // too many at once
	}
}

// Words is what this node tells the others, with the sums of a stream unless that is nil.
func (s *Scrubber) Words(about *Question) (Words, error) {
	if about != nil && about.Read {
		select {
		case s.wants <- about.Key:
		default: // too many at once; it is asked for again
		}
	}
	replicas, err := s.o.Replicas()
	if err != nil {
		return Words{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := Words{Replicas: replicas, Suspect: make(map[Key]bool)}
	if about != nil {
		w.Sums = s.sums[about.Key] // never changed in place
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
	if s.untrusted(k) {
		s.mu.Unlock()
		return // known
	}
	s.findings = append(s.findings, Finding{At: time.Now().UTC(), Key: k, Project: project, What: what, State: Found})
	s.forget()
	s.counts.Found++
	s.mu.Unlock()
	s.o.Log.Error("a replica is damaged: it is kept from leading and rebuilt", "stream", k.Stream, "project", project, "what", what)
	s.stepDown(k)
}

// untrusted reports whether a replica is found to be damaged and not repaired. s.mu is held.
func (s *Scrubber) untrusted(k Key) bool {
	return slices.ContainsFunc(s.findings, func(f Finding) bool { return f.Key == k && f.State != Repaired })
}

// forget drops the oldest findings that are repaired, if there are too many. What is not
// repaired must be known as long as it lasts. s.mu is held.
func (s *Scrubber) forget() {
	spare := -mostRecent
	for _, f := range s.findings {
		if f.State == Repaired {
			spare++
		}
	}
	s.findings = slices.DeleteFunc(s.findings, func(f Finding) bool {
		if f.State != Repaired || spare <= 0 {
			return false
		}
		spare--
		return true
	})
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
