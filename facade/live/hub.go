package live

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Options are what a hub needs.
type Options struct {
	// Look begins to look at a subject. What it returns is called again and again, by one
	// goroutine, says what there is, and must end with its context.
	Look  func(subject string) func(context.Context) Seen
	Every time.Duration // from one look to the next, which is skipped while nobody looks on
	// Linger is how long a subject is looked at after the last onlooker has left: one that
	// reconnects is told what it missed, and nothing else.
	Linger time.Duration
}

// Hub has a feed for each subject that somebody looks at. Close it.
type Hub struct {
	o    Options
	base context.Context
	stop context.CancelFunc
	work sync.WaitGroup // looking, owned by Close

	mu    sync.Mutex
	feeds map[string]*watched
}

// watched is a feed with its onlookers. Hub.mu guards what is beside the feed.
type watched struct {
	*feed
	onlookers int
	left      time.Time // when the last one left
}

// NewHub returns a hub that looks at nothing yet.
func NewHub(o Options) (*Hub, error) {
	if o.Look == nil || o.Every <= 0 || o.Linger < 0 {
		return nil, errors.New("live: an option is missing or out of range")
	}
	h := &Hub{o: o, feeds: make(map[string]*watched)}
	h.base, h.stop = context.WithCancel(context.Background())
	return h, nil
}

// Close ends all looking and waits for it. Onlookers hear nothing more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	h.work.Wait()
}

// Onlooker follows one subject. It is used by one goroutine; Leave it.
type Onlooker struct {
	h       *Hub
	subject string
	w       *watched
	at      uint64
}

// Join begins to look at a subject, after the mark that the onlooker has from before; ""
// or a mark that means nothing here tells it everything.
func (h *Hub) Join(subject, mark string) *Onlooker {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.feeds[subject]
	if w == nil {
		w = &watched{feed: newFeed()}
		h.feeds[subject] = w
		if h.base.Err() == nil {
			h.work.Go(func() { h.watch(subject, w) })
		}
	}
	w.onlookers++
	return &Onlooker{h: h, subject: subject, w: w, at: w.parse(mark)}
}

// Leave ends it.
func (o *Onlooker) Leave() {
	o.h.mu.Lock()
	defer o.h.mu.Unlock()
	if o.w.onlookers--; o.w.onlookers == 0 {
		o.w.left = time.Now()
	}
}

// News returns what has changed since the last call, with the mark to come back with, and
// a channel that is closed when there is more.
func (o *Onlooker) News() (mark string, updates []Update, more <-chan struct{}) {
	o.at, updates, more = o.w.since(o.at)
	return o.w.mark(o.at), updates, more
}

// watch looks at a subject until nobody has for a while.
func (h *Hub) watch(subject string, w *watched) {
	tick := time.NewTicker(h.o.Every)
	defer tick.Stop()
	look := h.o.Look(subject)
	for {
		w.see(look(h.base))
		select {
		case <-h.base.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		if w.onlookers == 0 && time.Since(w.left) > h.o.Linger {
			delete(h.feeds, subject)
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
	}
}
