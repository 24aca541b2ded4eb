package mapping

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// found is one message read from a store.
type found struct {
	seq     uint64
	subject string
	header  nats.Header
	sent    time.Time // when it was stored
	payload []byte
}

// trace is the trace the message was sent in, "" for most.
func (f found) trace() string { return traceOf(f.header) }

// traceOf looks into headers that came parsed, so that it costs nothing.
func traceOf(h nats.Header) string {
	if v := h[headerTrace]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// id is the message's, under the name it bears in the store.
func (f found) id() dms.MessageID {
	if id := f.header.Get(headerID); id != "" {
		return dms.MessageID(id)
	}
	return dms.MessageID(f.header.Get(jetstream.MsgIDHeader))
}

// scanBatch is how many messages are looked at in one go when labels may skip some.
const scanBatch = 100

// read returns the next messages the group may get, without changing anything. It
// reads from any replica, which may be behind but never out of order; before it says
// that there is nothing it asks the leader.
func (r *reader) read(ctx context.Context, c cursor, most int) ([]found, error) {
	filter := ">"
	accepts := func(string) bool { return true }
	batch := most
	stream := r.stream()
	switch r.kind {
	case dms.Dead:
		filter = deadFilter(r.ref)
	case dms.Again:
		filter = againFilter(r.ref)
	default:
		g, err := r.s.group(ctx, r.q, r.ref.Group)
		if err != nil {
			return nil, err
		}
		if len(g.Labels) > 0 {
			batch = scanBatch
			accepts = func(subject string) bool { return matchesLabels(g.Labels, g.Match, subjectLabels(subject)) }
		}
	}
	var got []found
	size, at := 0, c.Floor
	for {
		next, err := r.s.scan(ctx, stream, filter, at+1, batch)
		if r.kind != dms.Live && absentStream(err) {
			return nil, nil // there has never been one
		}
		if err != nil {
			return nil, err
		}
		if r.kind == dms.Live {
			if err := r.s.contiguous(ctx, stream, at, next); err != nil {
				return nil, err
			}
		}
		for _, f := range next {
			at = f.seq
			if !accepts(f.subject) {
				continue
			}
			size += len(f.payload)
			if len(got) > 0 && size > dms.MaxMessageSize {
				return got, nil
			}
			if got = append(got, f); len(got) == most {
				return got, nil
			}
		}
		if len(got) > 0 && len(next) < batch {
			return got, nil
		}
		if len(next) > 0 {
			continue
		}
		last, err := r.s.nextOnLeader(ctx, stream, filter, at+1)
		if err != nil || last == nil {
			return got, err
		}
		if r.kind == dms.Live {
			if err := r.s.contiguous(ctx, stream, at, []found{*last}); err != nil {
				return nil, err
			}
		}
		at = last.seq
		if accepts(last.subject) {
			return append(got, *last), nil
		}
	}
}

// scan reads up to batch messages from the sequence on, from whichever replica
// answers.
func (s *session) scan(ctx context.Context, stream, filter string, from uint64, batch int) (got []found, err error) {
	return s.scanBytes(ctx, stream, filter, from, batch, dms.MaxMessageSize)
}

// scanBytes is scan with a limit of its own for the bytes of what is read, at least one
// message of which comes whatever its size.
func (s *session) scanBytes(ctx context.Context, stream, filter string, from uint64, batch, most int) (got []found, err error) {
	request := mustJSON(map[string]any{"seq": from, "next_by_subj": filter, "batch": batch, "max_bytes": most})
	err = hold(ctx, func(ctx context.Context) error {
		got = nil
		return s.readBatch(ctx, stream, request, batch, func(m *nats.Msg) error {
			seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return fmt.Errorf("read %s: sequence: %w", stream, err)
			}
			sent, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
			if err != nil {
				return fmt.Errorf("read %s: time: %w", stream, err)
			}
			got = append(got, found{seq: seq, subject: m.Header.Get(jetstream.SubjectHeader), header: m.Header, sent: sent, payload: m.Data})
			return nil
		})
	})
	return got, err
}

// readBatch sends a read of several messages and passes each to f, until the log
// says that it has sent all.
func (s *session) readBatch(ctx context.Context, stream string, request []byte, batch int, f func(*nats.Msg) error) error {
	answers := make(chan *nats.Msg, batch+1)
	inbox, forget := s.calls.expect(func(m *nats.Msg) {
		select {
		case answers <- m:
		default: // more than was asked for
		}
	})
	defer forget()
	if err := s.conn.PublishMsg(&nats.Msg{Subject: directPrefix + stream, Reply: inbox, Data: request}); err != nil {
		return err
	}
	for {
		select {
		case m := <-answers:
			switch m.Header.Get(statusHeader) {
			case "":
				if err := f(m); err != nil {
					return err
				}
			case "204", "404":
				return nil
			case "503":
				// No replica serves the stream: is it there at all?
				if _, err := s.streamInfo(ctx, stream, nil); err != nil {
					return err
				}
				return nats.ErrNoResponders
			default:
				return fmt.Errorf("read %s: %s %s", stream, m.Header.Get(statusHeader), m.Header.Get("Description"))
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// contiguous checks that nothing is missing between what was read and what follows.
// A queue's stream loses messages at its front only, by age; any other gap means that
// the replica is damaged, and then nothing is handed out.
func (s *session) contiguous(ctx context.Context, stream string, after uint64, next []found) error {
	for i, f := range next {
		if f.seq == after+1 {
			after = f.seq
			continue
		}
		info, err := s.streamInfo(ctx, stream, nil)
		if err != nil {
			return err
		}
		if i > 0 || f.seq > max(info.State.FirstSeq, 1) {
			s.b.damaged()
			s.log.LogAttrs(ctx, slog.LevelError, "a replica lacks messages it should have",
				slog.String("stream", stream), slog.Uint64("after", after), slog.Uint64("next", f.seq), slog.Uint64("first", info.State.FirstSeq))
			return dms.Errorf(dms.Unavailable, "a replica of the queue is being repaired; try again")
		}
		after = f.seq
	}
	return nil
}

// nextOnLeader asks the leader for the next message; nil means that there is none.
func (s *session) nextOnLeader(ctx context.Context, stream, filter string, from uint64) (*found, error) {
	m, err := s.readStored(ctx, stream, map[string]any{"seq": from, "next_by_subj": filter})
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := m.found()
	return &f, err
}

// stored reads one message from its leader.
func (s *session) stored(ctx context.Context, stream string, seq uint64) (storedMessage, error) {
	return s.readStored(ctx, stream, map[string]any{"seq": seq})
}

func (s *session) readStored(ctx context.Context, stream string, request map[string]any) (m storedMessage, err error) {
	body := mustJSON(request)
	err = hold(ctx, func(ctx context.Context) error {
		answer, err := s.calls.look(ctx, msgGetPrefix+stream, body)
		if err != nil {
			return err
		}
		m = storedMessage{}
		return reply(answer, &m)
	})
	return m, err
}

// count is how many messages from the sequence on match the filter.
func (s *session) count(ctx context.Context, stream, filter string, from uint64) (n uint64, err error) {
	request := mustJSON(map[string]any{"seq": max(from, 1), "next_by_subj": filter, "batch": 1, "max_bytes": 1})
	err = hold(ctx, func(ctx context.Context) error {
		n = 0
		return s.readBatch(ctx, stream, request, 1, func(m *nats.Msg) error {
			pending, err := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			n = pending + 1
			return err
		})
	})
	if code(err) == codeNoStream {
		return 0, nil
	}
	return n, err
}
