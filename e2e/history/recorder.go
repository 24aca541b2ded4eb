package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// backlog is how many bytes may wait for a slow writer before calls wait too.
const backlog = 8 << 20

// ErrClosed is returned for a call that ends after the recorder was closed.
var ErrClosed = errors.New("recorder is closed")

// Recorder writes one JSON line for each call when it ends. It sends nothing and
// repeats nothing; each attempt of a client is a call of its own. Many goroutines may
// use it: a call is encoded outside the lock, and one goroutine does all writing.
type Recorder struct {
	origin time.Time
	w      io.Writer
	done   chan struct{} // closed when the writing goroutine has ended

	mu     sync.Mutex
	turned *sync.Cond // the queue, closed or err changed
	queue  []byte
	open   map[int64]*Pending
	last   int64
	closed bool
	err    error // the first failed write; nothing is written after it
}

// NewRecorder starts recording. The caller must Close the recorder, and closes w after.
func NewRecorder(w io.Writer) *Recorder {
	r := &Recorder{origin: time.Now(), w: w, done: make(chan struct{}), open: make(map[int64]*Pending)}
	r.turned = sync.NewCond(&r.mu)
	go r.write() // ended and awaited by Close
	return r
}

// Now is the time since the recorder was made, on the clock of Start and End.
func (r *Recorder) Now() time.Duration { return time.Since(r.origin) }

// Pending is a call that has begun. One goroutine ends it, once.
type Pending struct {
	rec   *Recorder
	call  Call
	begun []Item // the items given to Begin; never written after
}

// Begin notes the start of a call. The caller must not change c.Items before the end.
// The result is meaningless until End.
func (r *Recorder) Begin(c Call) *Pending {
	p := &Pending{rec: r, call: c, begun: unknown(c.Items)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	p.call.ID = r.last
	// Taken under the lock, so that numbers and starts agree; it is a little early
	// for the request, which only widens the interval.
	p.call.Start = r.Now()
	if !r.closed {
		r.open[p.call.ID] = p
	}
	return p
}

// unknown copies items with the result of a call that has no answer yet.
func unknown(items []Item) []Item {
	items = slices.Clone(items)
	for i := range items {
		items[i].Result = Unknown
	}
	return items
}

// Answer is what a client saw.
type Answer struct {
	Status int    // 0 when no whole answer came
	Code   string // error code of the answer
	Text   string
	// Items replace those given to Begin; nil keeps them, each with the call's result.
	Items []Item
}

// End notes the end of a call. The results of its items are taken over when the call
// was answered with 2xx; otherwise the status decides for them too.
func (p *Pending) End(a Answer) error {
	p.call.End = p.rec.Now()
	p.call.Status, p.call.Code, p.call.Text = a.Status, a.Code, a.Text
	p.call.Result = ResultOf(a.Status)
	given := a.Items != nil
	if given {
		p.call.Items = a.Items
	}
	if !given || p.call.Result != OK {
		items := make([]Item, len(p.call.Items)) // the caller's slice stays as it was
		copy(items, p.call.Items)
		for i := range items {
			items[i].Result = p.call.Result
		}
		p.call.Items = items
	}
	line, err := json.Marshal(&p.call)
	if err != nil {
		return fmt.Errorf("record call: %w", err)
	}
	return p.rec.add(p.call.ID, append(line, '\n'))
}

func (r *Recorder) add(id int64, line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > backlog && r.err == nil && !r.closed {
		r.turned.Wait()
	}
	switch {
	case r.err != nil:
		return r.err
	case r.closed:
		return ErrClosed
	}
	delete(r.open, id)
	r.queue = append(r.queue, line...)
	r.turned.Broadcast()
	return nil
}

// write moves the queue to the writer until the recorder is closed and all is written.
func (r *Recorder) write() {
	defer close(r.done)
	var batch []byte
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed {
			r.turned.Wait()
		}
		batch, r.queue = r.queue, batch[:0]
		r.turned.Broadcast()
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if _, err := r.w.Write(batch); err != nil {
			r.mu.Lock()
			r.err = fmt.Errorf("write history: %w", err)
			r.turned.Broadcast()
			r.mu.Unlock()
			return
		}
	}
}

// Close records every call that has not ended as unknown, waits until all is written
// and returns the first error of writing. It may be called again.
func (r *Recorder) Close() error {
	r.mu.Lock()
	if !r.closed {
		now := r.Now()
		for _, p := range r.open {
			// The pending call belongs to its goroutine, which may be ending it just
			// now; only what Begin wrote is read here.
			c := Call{ID: p.call.ID, Client: p.call.Client, Node: p.call.Node, Op: p.call.Op,
				Tenant: p.call.Tenant, Queue: p.call.Queue, Group: p.call.Group, Start: p.call.Start,
				End: now, AckWait: p.call.AckWait, Key: p.call.Key}
			c.Items = p.begun
			line, err := json.Marshal(&c)
			if err != nil {
				r.err = errors.Join(r.err, fmt.Errorf("record call: %w", err))
				continue
			}
			r.queue = append(append(r.queue, line...), '\n')
		}
		r.closed = true
		r.turned.Broadcast()
	}
	r.mu.Unlock()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
