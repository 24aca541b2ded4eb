package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dms/monitor/history"
	"dms/monitor/sample"
	"dms/monitor/webhook"
	"dms/tenancy/seal"
)

// Options are what watching needs. All but Alertmanager and Now are required.
type Options struct {
	Node      string // names this node in the lease
	Records   Records
	Journal   Journal
	History   *history.History
	Collector Collector
	Sender    *webhook.Sender
	Keys      []seal.Key // newest first, the same on all nodes
	// Alertmanager, if set, is told of all alarms that fire.
	Alertmanager *Alertmanager
	SampleEvery  time.Duration // between samples; 10 s in production
	LeaseEvery   time.Duration // between renewals of the lease; 3 s in production
	MostAlarms   int           // rules of one project
	Log          *slog.Logger
	Now          func() time.Time // nil is time.Now
}

func (o Options) check() error {
	switch {
	case o.Node == "" || o.Records == nil || o.Journal == nil || o.History == nil || o.Collector == nil || o.Sender == nil || o.Log == nil:
		return errors.New("watch: a required option is missing")
	case o.SampleEvery <= 0 || o.LeaseEvery <= 0 || o.MostAlarms <= 0:
		return fmt.Errorf("watch: sampling every %v, lease every %v, %d alarms: want more than 0", o.SampleEvery, o.LeaseEvery, o.MostAlarms)
	}
	return nil
}

// Watch is one node's part in watching. Close it.
type Watch struct {
	o     Options
	log   *slog.Logger
	rules *Rules

	stop   context.CancelCauseFunc
	base   context.Context
	work   sync.WaitGroup // ended by Close
	latest atomic.Pointer[Latest]
	stats  stats
}

// Latest is what the node that watches knows; other nodes have none.
type Latest struct {
	At       time.Time
	Projects []Project
	Frames   []sample.Frame
	Firing   []FiringCount
	Missing  int // nodes that did not answer
	Took     time.Duration
}

// FiringCount is how many targets of a project fire.
type FiringCount struct {
	Project  string
	Severity string
	Targets  int
}

// stats are counters for metrics.
type stats struct {
	sent, failed, given, lost atomic.Int64
}

// Deliveries returns how many notifications arrived, how many attempts failed, and how
// many notifications were given up, at this node since it started.
func (w *Watch) Deliveries() (arrived, failed, givenUp int64) {
	return w.stats.sent.Load(), w.stats.failed.Load(), w.stats.given.Load()
}

// LostPasses is how many samples this node could not take or keep since it started.
func (w *Watch) LostPasses() int64 { return w.stats.lost.Load() }

var errClosed = errors.New("the node is stopping")

// New starts to watch.
func New(o Options) (*Watch, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	boxes, err := seal.New(o.Keys)
	if err != nil {
		return nil, err
	}
	w := &Watch{
		o: o, log: o.Log.With(slog.String("component", "watch")),
		rules: &Rules{records: o.Records, journal: o.Journal, sealer: sealer{boxes}, sender: o.Sender, most: o.MostAlarms, now: o.Now},
	}
	w.base, w.stop = context.WithCancelCause(context.Background())
	w.work.Go(w.run)
	return w, nil
}

// Rules is what projects may do with their alarms.
func (w *Watch) Rules() *Rules { return w.rules }

// Latest returns what this node knows if it is the one that watches, nil otherwise.
func (w *Watch) Latest() *Latest { return w.latest.Load() }

// Close stops watching, lets another node take over, and waits for it.
func (w *Watch) Close(ctx context.Context) error {
	w.stop(errClosed)
	done := make(chan struct{})
	go func() { // ends with the work, which the context of every call bounds
		defer close(done)
		w.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run holds the lease or waits for it, until Close.
func (w *Watch) run() {
	l := &lease{records: w.o.Records, me: w.o.Node + "." + token(), every: w.o.LeaseEvery, log: w.log}
	tick := time.NewTicker(w.o.LeaseEvery)
	defer tick.Stop()
	var now *ruling
	depose := func(cause error) {
		if now != nil {
			now.end(cause)
			now = nil
			w.latest.Store(nil)
		}
	}
	for {
		switch held := l.step(w.base); {
		case !held:
			depose(ErrConflict)
		case now == nil:
			now = w.begin()
		}
		select {
		case <-tick.C:
		case <-w.base.Done():
			depose(errClosed)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(w.base), w.o.LeaseEvery)
			l.release(ctx)
			cancel()
			return
		}
	}
}

// ruling is a reign in its goroutine.
type ruling struct {
	cancel context.CancelCauseFunc
	done   sync.WaitGroup
}

func (w *Watch) begin() *ruling {
	r := &ruling{}
	var ctx context.Context
	ctx, r.cancel = context.WithCancelCause(w.base)
	r.done.Go(func() { newReign(w).run(ctx) })
	return r
}

// end ends the reign and waits for it.
func (r *ruling) end(cause error) {
	r.cancel(cause)
	r.done.Wait()
}
