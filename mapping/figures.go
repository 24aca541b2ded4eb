package mapping

import (
	"context"
	"slices"
	"sync"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// figuresRound is after how many passes everything remembered has been read anew,
	// a part at each, in case a change was not heard of.
	figuresRound = 6
	// mostAges bounds how many messages one pass reads to learn how old they are.
	mostAges = 200
	// missingFor is how long a pass waits to hear whether a consumer without a leader
	// exists at all.
	missingFor = 500 * time.Millisecond
)

// Figures combines what the members say of a project's logs with the project's control
// records. It changes nothing, and reads only what has changed since it was last called:
// an idle queue costs no request.
func (b *Broker) Figures(ctx context.Context, project tenancy.ProjectID, logs []LogFigures) ([]dms.QueueFigures, error) {
	s, release, err := b.session(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.seen.pass(ctx, mergeLogs(logs))
}

// figures is what a session remembers from one pass over its queues to the next.
type figures struct {
	s *session

	turn   sync.Mutex // one pass at a time; guards all but dirty
	passes int
	ages   int // messages that this pass may still read
	deadAt uint64
	dead   map[dms.GroupID]deadFigures
	heads  map[dms.GroupID]head
	unmade map[dms.GroupID]int // groups known to have no consumer, and since which pass

	mu    sync.Mutex
	dirty map[string]bool // keys of groups whose dead letters have changed
}

type deadFigures struct{ made, waiting int64 }

// head is the first unsettled message of a group.
type head struct {
	floor uint64
	known bool // at is when it was stored; otherwise it is a guess
	at    time.Time
}

func newFigures(s *session) *figures {
	return &figures{s: s, dead: make(map[dms.GroupID]deadFigures), heads: make(map[dms.GroupID]head), unmade: make(map[dms.GroupID]int), dirty: make(map[string]bool)}
}

// deadChanged takes the keys of a queue and of a group.
func (f *figures) deadChanged(_, group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[group] = true
}

func (f *figures) pass(ctx context.Context, logs map[string]*LogFigures) ([]dms.QueueFigures, error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.passes++
	f.ages = mostAges
	f.mu.Lock()
	dirty := f.dirty
	f.dirty = make(map[string]bool)
	f.mu.Unlock()
	deadLog := logs[deadStream]
	if deadLog != nil && deadLog.Led && deadLog.First != f.deadAt {
		f.deadAt = deadLog.First // some have expired, nobody says of which group
		clear(f.dead)
	}
	names := make([]string, 0, len(logs))
	for name := range logs {
		names = append(names, name)
	}
	slices.Sort(names)
	live := make(map[dms.GroupID]bool)
	var all []dms.QueueFigures
	for i, name := range names {
		id, ok := parseStreamName(name)
		if !ok {
			continue
		}
		if !logs[name].Led {
			all = append(all, dms.QueueFigures{Ref: dms.QueueRef{Project: f.s.project, Queue: id}, Unknown: true})
			continue
		}
		q, err := f.s.queue(ctx, id)
		if has(err, dms.QueueNotFound) {
			continue // deleted a moment ago
		}
		if err != nil {
			return nil, err
		}
		refresh := i%figuresRound == f.passes%figuresRound
		one, err := f.queue(ctx, q, logs[name], dirty, deadLog != nil, refresh)
		if err != nil {
			return nil, err
		}
		for _, g := range one.Groups {
			live[g.ID] = true
		}
		all = append(all, one)
	}
	for id := range f.heads {
		if !live[id] {
			delete(f.heads, id)
			delete(f.dead, id)
			delete(f.unmade, id)
		}
	}
	return all, nil
}

func (f *figures) queue(ctx context.Context, q *queue, log *LogFigures, dirty map[string]bool, buried, refresh bool) (dms.QueueFigures, error) {
	out := dms.QueueFigures{
		Ref: q.Ref, Name: q.Name, Mode: q.Mode, Complete: true,
		Messages: int64(log.Messages), Bytes: int64(log.Bytes), First: log.First, Last: log.Last,
	}
	if refresh {
		q.forget()
	}
	q.mu.Lock()
	r := q.record
	q.mu.Unlock()
	if r == nil {
		var err error
		if r, err = f.s.freshRecord(ctx, q); err != nil {
			return out, err
		}
	}
	for _, g := range r.Groups {
		one, known, err := f.group(ctx, q, g, log)
		if err != nil {
			return out, err
		}
		if !known {
			out.Complete = false
			continue
		}
		if q.DeadLetters() && buried {
			have, ok := f.dead[g.ID]
			if !ok || refresh || dirty[groupKey(g.ID)] {
				if have, err = f.deadLetters(ctx, q, g); err != nil {
					return out, err
				}
				f.dead[g.ID] = have
			}
			one.DeadMade, one.DeadWaiting = have.made, have.waiting
		}
		out.Groups = append(out.Groups, one)
	}
	return out, nil
}

// group returns the figures of one group, and false when they cannot be known now.
func (f *figures) group(ctx context.Context, q *queue, g groupRecord, log *LogFigures) (out dms.GroupFigures, known bool, err error) {
	ref := dms.GroupRef{QueueRef: q.Ref, Group: g.ID}
	out = dms.GroupFigures{ID: g.ID, Name: g.Name}
	switch {
	case !g.Used && q.Mode != dms.FIFO:
		if err := f.untouched(ctx, q, g, log, &out); err != nil {
			return out, false, err
		}
	case q.Mode == dms.FIFO:
		c, err := f.s.reader(q, ref, dms.Live).newest(ctx)
		if err != nil {
			return out, false, err
		}
		out.Floor = c.Floor
		if c.Lease != nil {
			out.Outstanding = int64(len(c.Lease.Seqs))
		}
		switch {
		case len(g.Labels) > 0:
			n, err := f.s.countLabelled(ctx, q, g, c.Floor+1)
			if err != nil {
				return out, false, toError(err)
			}
			out.Available = int64(n)
		case log.Messages == 0 || c.Floor >= log.Last:
			out.Available = 0
		default:
			out.Available = int64(log.Last - max(c.Floor, log.First-1))
		}
	default:
		i := slices.IndexFunc(log.Consumers, func(c ConsumerFigures) bool { return c.Name == consumerName(g.ID, g.Gen) })
		if i < 0 {
			// Claimed and not consumed from yet, or without a leader. Which of the two is
			// asked now and then only: a consumer that is made shows up by itself.
			if n, ok := f.unmade[g.ID]; !ok || f.passes-n >= figuresRound {
				asked, cancel := context.WithTimeout(ctx, missingFor)
				defer cancel()
				if _, err := f.s.consumerInfo(asked, reading{ref, g.Gen}); code(err) != codeNoConsumer {
					return out, false, nil
				}
				f.unmade[g.ID] = f.passes
			}
			if err := f.untouched(ctx, q, g, log, &out); err != nil {
				return out, false, err
			}
			break
		}
		c := log.Consumers[i]
		out.Outstanding, out.Waiting, out.Floor = int64(c.Outstanding), int64(c.Waiting), c.Floor
		out.Available = int64(c.Pending + c.Outstanding)
		if len(g.Labels) > 1 && g.Match == dms.AnyLabel {
			// The log counts a message once for each filter it passes.
			n, err := f.s.countLabelled(ctx, q, g, c.Delivered+1)
			if err != nil {
				return out, false, toError(err)
			}
			out.Available = int64(n + c.Outstanding)
		}
	}
	if out.Oldest, err = f.oldest(ctx, q, g, out, log); err != nil {
		return out, false, err
	}
	if g.Again {
		left, outstanding, err := f.s.lane(ctx, q, ref)
		if err != nil {
			return out, false, toError(err)
		}
		out.Available, out.Outstanding = out.Available+left, out.Outstanding+outstanding
	}
	return out, true, nil
}

// untouched fills in the figures of a group that was never given anything since it was
// put where it reads.
func (f *figures) untouched(ctx context.Context, q *queue, g groupRecord, log *LogFigures, out *dms.GroupFigures) error {
	start := max(g.Start, 1)
	out.Floor = start - 1
	if len(g.Labels) > 0 {
		n, err := f.s.countLabelled(ctx, q, g, start)
		out.Available = int64(n)
		return toError(err)
	}
	if log.Messages > 0 {
		out.Available = int64(log.Last + 1 - min(max(start, log.First), log.Last+1))
	}
	return nil
}

// newest returns the newest cursor this node has heard of, with or without a lease.
func (r *reader) newest(ctx context.Context) (cursor, error) {
	r.mu.Lock()
	c, known := r.c, r.known
	r.mu.Unlock()
	if known {
		return c, nil
	}
	c, _, err := r.load(ctx)
	return c, toError(err)
}

func (f *figures) deadLetters(ctx context.Context, q *queue, g groupRecord) (deadFigures, error) {
	c, err := f.s.counters(ctx, q, g, jetstream.StreamState{}, dms.GroupView{DeadLetters: true})
	return deadFigures{made: c.DeadProduced, waiting: c.DeadAvailable}, err
}

// oldest is when the group's first unsettled message was stored. For a group that moves
// it is a guess between the queue's first and last message; the message itself is read
// when the group stands still, which is when its age matters.
func (f *figures) oldest(ctx context.Context, q *queue, g groupRecord, now dms.GroupFigures, log *LogFigures) (time.Time, error) {
	before, seen := f.heads[g.ID]
	h := head{floor: now.Floor}
	switch {
	case now.Available == 0 || log.Messages == 0:
		f.heads[g.ID] = h
		return time.Time{}, nil
	case now.Floor < log.First:
		h.known, h.at = true, time.UnixMilli(log.FirstAt)
	case seen && before.known && before.floor == now.Floor:
		h = before
	case (!seen || before.floor == now.Floor) && f.ages > 0:
		f.ages--
		at, err := f.storedAt(ctx, q, g, now.Floor+1)
		if err != nil {
			return time.Time{}, err
		}
		h.known, h.at = !at.IsZero(), at
	default:
		span := float64(log.Last - log.First)
		part := 0.0
		if span > 0 {
			part = float64(min(now.Floor+1, log.Last)-log.First) / span
		}
		h.at = time.UnixMilli(log.FirstAt + int64(part*float64(log.LastAt-log.FirstAt)))
	}
	f.heads[g.ID] = h
	return h.at, nil
}

// storedAt reads when the group's first message from the sequence on was stored; zero if
// there is none.
func (f *figures) storedAt(ctx context.Context, q *queue, g groupRecord, from uint64) (first time.Time, err error) {
	filters := labelFilters(q.Ref.Queue, g.Labels, g.Match)
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters {
		m, err := f.s.readStored(ctx, streamName(q.Ref.Queue), map[string]any{"seq": from, "next_by_subj": filter})
		if absent(err) {
			continue
		}
		if err != nil {
			return time.Time{}, toError(err)
		}
		if at := m.Message.Time; first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, nil
}
