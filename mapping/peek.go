package mapping

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"dms/mapping/dms"
	"dms/mapping/filter"

	"github.com/nats-io/nats.go/jetstream"
)

// What one peek may cost. Whatever ends it first, the page says where to go on.
const (
	peekMessages = 20_000            // messages looked at
	peekBytes    = 64 << 20          // their bytes
	peekAnswer   = 4 << 20           // bytes of the messages found
	peekTime     = 2 * time.Second   // from the first message looked at
	peekBatch    = 250               // messages of one read
	peekRead     = 2 << 20           // bytes of one read
	widestWindow = uint64(1) << 20   // places that a look backwards passes over at a time
	narrowWindow = uint64(peekBatch) // and begins with
)

// Peek looks at messages and changes nothing: it reads them directly from a replica, where
// no consumer, cursor or counter takes part.
func (b *Broker) Peek(ctx context.Context, ref dms.QueueRef, p dms.Peek) (dms.Page, error) {
	if err := p.Validate(); err != nil {
		return dms.Page{}, err
	}
	wanted, err := filter.Compile(p.Search)
	if err != nil {
		return dms.Page{}, err
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Page{}, err
	}
	defer release()
	q, err := s.queue(ctx, ref.Queue)
	if err != nil {
		return dms.Page{}, err
	}
	look, err := s.view(ctx, q, p.Source, p.Group)
	if err != nil {
		return dms.Page{}, toError(err)
	}
	if err := look.begin(ctx, p); err != nil {
		return dms.Page{}, toError(err)
	}
	page, err := look.page(ctx, p, wanted)
	return page, toError(err)
}

// view is a stretch of a store that can be looked at.
type view struct {
	s        *session
	stream   string
	filter   string
	low      uint64 // the first place of the stretch
	high     uint64 // the last; below low when there is nothing
	describe func(found) (dms.Peeked, bool)
}

// view returns what the source holds at this moment.
func (s *session) view(ctx context.Context, q *queue, source dms.Source, group dms.GroupID) (*view, error) {
	v := &view{s: s, stream: streamName(q.Ref.Queue), filter: ">", describe: inQueue}
	switch source {
	case dms.InDead:
		v.stream, v.filter, v.describe = deadStream, deadQueueFilter(q.Ref.Queue), inDead
		if group != "" {
			v.filter = deadFilter(dms.GroupRef{QueueRef: q.Ref, Group: group})
		}
	case dms.InDelay:
		v.stream, v.filter, v.describe = delayStream, delayFilter(q.Ref.Queue), inDelay
	}
	if v.stream != streamName(q.Ref.Queue) {
		// These stores outlive a queue that was deleted through another node.
		if err := s.gone(ctx, q.Ref.Queue); err != nil {
			return nil, err
		}
	}
	var g groupRecord
	if group != "" {
		var err error
		if g, err = s.group(ctx, q, group); err != nil {
			return nil, err
		}
	}
	info, err := s.streamInfo(ctx, v.stream, nil)
	if code(err) == codeNoStream && v.stream != streamName(q.Ref.Queue) {
		v.low, v.high = 1, 0 // there has never been anything
		return v, nil
	}
	if err != nil {
		if code(err) == codeNoStream {
			s.drop(q.Ref.Queue)
		}
		return nil, err
	}
	v.low, v.high = max(info.State.FirstSeq, 1), info.State.LastSeq
	if source.NeedsGroup() {
		return v, s.narrow(ctx, v, q, g, info, source)
	}
	return v, nil
}

// narrow restricts the view of a queue to what one group has not settled.
func (s *session) narrow(ctx context.Context, v *view, q *queue, g groupRecord, info jetstream.StreamInfo, source dms.Source) error {
	p, err := s.progressOf(ctx, q, g, info.State)
	if err != nil {
		return err
	}
	v.low = max(v.low, p.floor+1)
	if source == dms.InFlight {
		v.high = min(v.high, p.delivered)
	}
	v.describe = func(f found) (dms.Peeked, bool) {
		m, _ := inQueue(f)
		m.State, m.Until = p.state(f.seq, m.Labels)
		if source == dms.InFlight {
			return m, m.State == dms.Leased || m.State == dms.Delivered
		}
		return m, m.State == dms.Waiting || m.State == dms.Leased || m.State == dms.Delivered
	}
	return nil
}

func inQueue(f found) (dms.Peeked, bool) {
	return dms.Peeked{Sequence: f.seq, ID: f.id(), Sent: f.sent, Payload: f.payload, Labels: subjectLabels(f.subject)}, true
}

func inDelay(f found) (dms.Peeked, bool) {
	m, _ := inQueue(f)
	m.Labels = subjectLabels(f.header.Get(headerSubject))
	if at, err := strconv.ParseInt(f.header.Get(headerDue), 10, 64); err == nil {
		m.Due = time.UnixMilli(at)
	}
	return m, true
}

func inDead(f found) (dms.Peeked, bool) {
	m, _ := inQueue(f)
	m.ID, m.Labels = dms.MessageID(f.header.Get(headerID)), labelsOf(f.payload)
	letter, ok := deadLetterOf(f)
	m.Dead = &letter
	return m, ok
}

func deadLetterOf(f found) (l dms.DeadLetter, ok bool) {
	l.Group, l.Sequence, ok = parseDeadSubject(f.subject)
	l.Deliveries, _ = strconv.Atoi(f.header.Get(headerFailures)) // 0 when it is not there
	if reason, err := url.QueryUnescape(f.header.Get(headerReason)); err == nil {
		l.Reason = reason
	}
	return l, ok
}

// begin moves the ends of the view to where the request, or the cursor of its earlier
// page, begins.
func (v *view) begin(ctx context.Context, p dms.Peek) error {
	from := p.FromSequence
	if !p.FromTime.IsZero() {
		at := p.FromTime
		if p.Newest {
			at = at.Add(time.Nanosecond) // what was stored at the very moment is part of it
		}
		var err error
		if from, err = v.s.placeAt(ctx, v.stream, at); err != nil {
			return err
		}
		if p.Newest {
			from-- // places begin at 1
		}
		v.limit(p.Newest, from)
	} else if from > 0 {
		v.limit(p.Newest, from)
	}
	if p.Cursor == "" {
		return nil
	}
	next, err := parsePeekCursor(p)
	if err != nil {
		return err
	}
	v.limit(p.Newest, next)
	return nil
}

func (v *view) limit(newest bool, place uint64) {
	if newest {
		v.high = min(v.high, place)
	} else {
		v.low = max(v.low, place)
	}
}

// page looks at messages in the order asked for until the page is full, the end is
// reached or enough has been looked at.
func (v *view) page(ctx context.Context, p dms.Peek, wanted *filter.Filter) (page dms.Page, err error) {
	w := &walk{view: v, ends: time.Now().Add(peekTime)}
	answer := 0
	for !w.over() {
		batch, err := w.next(ctx, p.Newest, p.Limit-len(page.Messages), p.Search.Empty())
		if err != nil {
			return dms.Page{}, err
		}
		for _, f := range batch {
			m, ok := v.describe(f)
			if ok {
				ok, err = wanted.Matches(ctx, filterable(m))
			}
			if err != nil {
				return dms.Page{}, err
			}
			w.looked(f, p.Newest)
			if !ok {
				continue
			}
			page.Messages = append(page.Messages, m)
			if answer += len(m.Payload); len(page.Messages) == p.Limit || answer > peekAnswer {
				w.done = true
				break
			}
		}
	}
	page.Scanned = w.messages
	if v.low <= v.high {
		next := v.low
		if p.Newest {
			next = v.high
		}
		page.Next = peekCursor(p, next)
	}
	return page, nil
}

func filterable(m dms.Peeked) filter.Message {
	f := filter.Message{Sequence: m.Sequence, ID: string(m.ID), Sent: m.Sent, Labels: m.Labels, Payload: m.Payload}
	if m.Dead != nil {
		f.Reason = m.Dead.Reason
	}
	return f
}

// walk goes through a view and counts what it costs. The view's ends are always around
// what has not been looked at.
type walk struct {
	*view
	ends            time.Time
	messages, bytes int
	window          uint64 // places passed over when looking backwards
	begun, done     bool
}

func (w *walk) over() bool {
	return w.done || w.low > w.high || w.messages >= peekMessages || w.bytes >= peekBytes ||
		w.begun && time.Now().After(w.ends)
}

// looked moves an end of the view past a message.
func (w *walk) looked(f found, newest bool) {
	w.messages++
	w.bytes += len(f.payload)
	if newest {
		w.high = f.seq - 1
	} else {
		w.low = f.seq + 1
	}
}

// next reads the next messages of the walk. When a stretch holds none it moves on.
func (w *walk) next(ctx context.Context, newest bool, most int, all bool) ([]found, error) {
	w.begun = true
	if !all {
		most = peekBatch
	}
	most = min(most, peekBatch)
	if newest {
		return w.back(ctx, most)
	}
	batch, err := w.read(ctx, w.low, most)
	if len(batch) == 0 {
		w.low = w.high + 1
	}
	return batch, err
}

// read reads messages from the place on up to the view's end. A replica may be behind;
// before there is said to be nothing, the leader is asked.
func (w *walk) read(ctx context.Context, from uint64, most int) ([]found, error) {
	batch, err := w.s.scanBytes(ctx, w.stream, w.filter, from, most, peekRead)
	if absentStream(err) {
		return nil, nil // deleted a moment ago
	}
	if err != nil {
		return nil, err
	}
	if len(batch) == 0 {
		f, err := w.s.nextOnLeader(ctx, w.stream, w.filter, from)
		if err != nil || f == nil {
			return nil, err
		}
		batch = append(batch, *f)
	}
	return slices.DeleteFunc(batch, func(f found) bool { return f.seq > w.high }), nil
}

// back reads the messages before the view's end, latest first. The log reads forwards
// only, so it reads a window before the end whole, and a wider one when there was little
// in it.
func (w *walk) back(ctx context.Context, most int) ([]found, error) {
	if w.window == 0 {
		w.window = min(uint64(most), narrowWindow)
	}
	from := w.low
	if w.high-w.low >= w.window {
		from = w.high - w.window + 1
	}
	var batch []found
	for at := from; at <= w.high; {
		part, err := w.read(ctx, at, peekBatch)
		if err != nil {
			return nil, err
		}
		if len(part) == 0 {
			break
		}
		batch = append(batch, part...)
		at = part[len(part)-1].seq + 1
		if len(batch) > 4*peekBatch {
			// The window was too wide. What was read of it is its older part, which cannot
			// be shown yet.
			w.window = max(w.window/8, 1)
			return nil, nil
		}
	}
	if len(batch) == 0 {
		w.high = from - 1
	}
	if len(batch) < most/2 {
		w.window = min(2*w.window, widestWindow)
	}
	slices.Reverse(batch)
	return batch, nil
}

// placeAt is the first place in the stream of a message stored at the time or later; one
// behind the last place when there is none.
func (s *session) placeAt(ctx context.Context, stream string, at time.Time) (uint64, error) {
	m, err := s.readStored(ctx, stream, map[string]any{"start_time": at.UTC().Format(time.RFC3339Nano), "next_by_subj": ">"})
	if err == nil {
		return m.Message.Seq, nil
	}
	if !absent(err) {
		return 0, err
	}
	info, err := s.streamInfo(ctx, stream, nil)
	if absentStream(err) {
		return 1, nil
	}
	return info.State.LastSeq + 1, err
}
