package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	connections = 64
	consumers   = 16
	batch       = 10
)

func pairs() []pair {
	return []pair{
		{"send 10", 0.7, rawAsync, restSend(batch)},
		{"send 1", 0.7, rawSync, restSend(1)},
		{"send 1, shared", 0, rawShared, restSend(1)},
		{"consume+ack", 1.0, rawConsume, restConsume},
		{"fifo", 0.8, rawCursor, restFIFO},
	}
}

var kilobyte = strings.Repeat("x", 1024-len(`{"body":""}`))

func sendBody(n int) []byte {
	one := `{"body":"` + kilobyte + `"}`
	return []byte(`{"messages":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`)
}

func restSend(n int) func(context.Context, *service) (float64, error) {
	return func(ctx context.Context, s *service) (float64, error) {
		queue, _, _, err := s.queue(ctx, "NORMAL")
		if err != nil {
			return 0, err
		}
		defer s.remove(queue)
		lines, closeLines, err := s.lines(ctx, connections)
		if err != nil {
			return 0, err
		}
		defer closeLines()
		body := sendBody(n)
		return timed(ctx, s, func(ctx context.Context) (int64, error) {
			return workers(ctx, connections, func(_ context.Context, i int) (int64, error) {
				_, err := lines[i].call(http.MethodPost, queue+"/messages", body)
				return int64(n), err
			})
		})
	}
}

func (s *service) remove(queue string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = s.call(ctx, http.MethodDelete, queue, nil, nil)
}

func rawAsync(ctx context.Context, s *service) (float64, error) {
	return s.rawSend(ctx, func(ctx context.Context, _ int, m *nats.Msg) (int64, error) {
		var acks [batch]jetstream.PubAckFuture
		for i := range acks {
			var err error
			if acks[i], err = s.js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Data: m.Data}, jetstream.WithMsgID(uuid.NewString())); err != nil {
				return 0, err
			}
		}
		for _, a := range acks {
			select {
			case <-a.Ok():
			case err := <-a.Err():
				return 0, err
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		return batch, nil
	})
}

// rawSync is as many publishers as REST has clients, each with a connection of its own.
func rawSync(ctx context.Context, s *service) (float64, error) {
	publishers := make([]jetstream.JetStream, connections)
	for i := range publishers {
		conn, err := s.cluster.ConnTCP(ctx, s.project.ID)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if publishers[i], err = jetstream.New(conn); err != nil {
			return 0, err
		}
	}
	return s.rawSend(ctx, func(ctx context.Context, i int, m *nats.Msg) (int64, error) { return publishOne(ctx, publishers[i], m) })
}

// rawShared is the same number of publishers on one connection inside the process, which
// costs no system calls.
func rawShared(ctx context.Context, s *service) (float64, error) {
	return s.rawSend(ctx, func(ctx context.Context, _ int, m *nats.Msg) (int64, error) { return publishOne(ctx, s.js, m) })
}

func publishOne(ctx context.Context, js jetstream.JetStream, m *nats.Msg) (int64, error) {
	_, err := js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Data: m.Data}, jetstream.WithMsgID(uuid.NewString()))
	return 1, err
}

// rawSend publishes messages like m to a queue's stream.
func (s *service) rawSend(ctx context.Context, f func(ctx context.Context, publisher int, m *nats.Msg) (int64, error)) (float64, error) {
	queue, _, stream, err := s.queue(ctx, "NORMAL")
	if err != nil {
		return 0, err
	}
	defer s.remove(queue)
	m := &nats.Msg{Subject: "q." + strings.TrimPrefix(stream, "q_") + ".~.~.~", Data: []byte(`{"body":"` + kilobyte + `"}`)}
	return timed(ctx, s, func(ctx context.Context) (int64, error) {
		return workers(ctx, connections, func(ctx context.Context, i int) (int64, error) { return f(ctx, i, m) })
	})
}

// fill stores enough messages for a consuming run to last.
func (s *service) fill(ctx context.Context, queue string, n int) error {
	body := sendBody(batch)
	left := make(chan struct{}, n/batch)
	for range n / batch {
		left <- struct{}{}
	}
	close(left)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := workers(ctx, connections, func(ctx context.Context, _ int) (int64, error) {
		if _, ok := <-left; !ok {
			return 0, errDone
		}
		return batch, s.call(ctx, http.MethodPost, queue+"/messages", body, nil)
	})
	if onlyDone(err) {
		return nil
	}
	return err
}

var errDone = fmt.Errorf("nothing left")

func onlyDone(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if !onlyDone(e) {
				return false
			}
		}
		return true
	}
	return err == nil || err == errDone
}

// consuming fills a queue and measures how it is emptied.
func consuming(ctx context.Context, s *service, mode string, f func(ctx context.Context, group, stream string) (int64, error)) (float64, error) {
	queue, group, stream, err := s.queue(ctx, mode)
	if err != nil {
		return 0, err
	}
	defer s.remove(queue)
	if err := s.fill(ctx, queue, s.options.backlog); err != nil {
		return 0, err
	}
	return timed(ctx, s, func(ctx context.Context) (int64, error) { return f(ctx, group, stream) })
}

func rawConsume(ctx context.Context, s *service) (float64, error) {
	return consuming(ctx, s, "NORMAL", func(ctx context.Context, _, stream string) (int64, error) {
		c, err := s.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 31 * time.Second, MaxAckPending: 10_000, Replicas: 3,
		})
		if err != nil {
			return 0, err
		}
		return workers(ctx, consumers, func(ctx context.Context, _ int) (int64, error) {
			got, err := c.Fetch(batch, jetstream.FetchMaxWait(time.Second))
			if err != nil {
				return 0, err
			}
			var n int64
			for m := range got.Messages() {
				if err := m.DoubleAck(ctx); err != nil {
					return n, err
				}
				n++
			}
			if n == 0 {
				return 0, errDone
			}
			return n, nil
		})
	})
}

func restConsume(ctx context.Context, s *service) (float64, error) {
	return consuming(ctx, s, "NORMAL", func(ctx context.Context, group, _ string) (int64, error) { return s.consumers(ctx, group, consumers) })
}

func restFIFO(ctx context.Context, s *service) (float64, error) {
	return consuming(ctx, s, "FIFO", func(ctx context.Context, group, _ string) (int64, error) { return s.consumers(ctx, group, 1) })
}

// consumers take batches and acknowledge them, each on a connection of its own.
func (s *service) consumers(ctx context.Context, group string, n int) (int64, error) {
	lines, closeLines, err := s.lines(ctx, n)
	if err != nil {
		return 0, err
	}
	defer closeLines()
	return workers(ctx, n, func(_ context.Context, i int) (int64, error) { return lines[i].consume(group) })
}

type delivery struct {
	Handler string `json:"handler"`
}

// consume takes one batch and acknowledges it.
func (l *line) consume(group string) (int64, error) {
	got, err := l.call(http.MethodGet, group+"/messages?max_msgs=10&time_wait=1", nil)
	if err != nil {
		return 0, err
	}
	const mark = `"handler":"`
	var n int64
	acks := []byte(`{"message":[`)
	for {
		at := bytes.Index(got, []byte(mark))
		if at < 0 {
			break
		}
		got = got[at+len(mark):]
		end := bytes.IndexByte(got, '"')
		if n > 0 {
			acks = append(acks, ',')
		}
		acks = append(acks, `{"handler":"`...)
		acks = append(acks, got[:end]...)
		acks = append(acks, `","status":"success"}`...)
		n++
	}
	if n == 0 {
		return 0, errDone
	}
	_, err = l.call(http.MethodPost, group+"/ack", append(acks, `]}`...))
	return n, err
}

// rawCursor is the least that a strict order costs: write a lease, read a batch,
// write the new position.
func rawCursor(ctx context.Context, s *service) (float64, error) {
	return consuming(ctx, s, "FIFO", func(ctx context.Context, _, stream string) (int64, error) {
		subject := "$KV.ctl.bench." + uuid.NewString()
		value := []byte(strings.Repeat("x", 200))
		var floor, rev uint64
		return workers(ctx, 1, func(ctx context.Context, _ int) (int64, error) {
			var last *nats.Msg
			sub, err := s.conn.SubscribeSync(s.conn.NewInbox())
			if err != nil {
				return 0, err
			}
			defer sub.Unsubscribe() //nolint:errcheck // the connection is closed at the end
			put := func() error {
				ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: value}, jetstream.WithExpectLastSequencePerSubject(rev))
				if err == nil {
					rev = ack.Sequence
				}
				return err
			}
			if err := put(); err != nil {
				return 0, err
			}
			request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">","batch":%d}`, floor+1, batch)
			if err := s.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, sub.Subject, request); err != nil {
				return 0, err
			}
			var n int64
			for {
				m, err := sub.NextMsgWithContext(ctx)
				if err != nil {
					return 0, err
				}
				if m.Header.Get("Status") != "" {
					break
				}
				last = m
				n++
			}
			if last == nil {
				return 0, errDone
			}
			if _, err := fmt.Sscan(last.Header.Get("Nats-Sequence"), &floor); err != nil {
				return 0, err
			}
			return n, put()
		})
	})
}
