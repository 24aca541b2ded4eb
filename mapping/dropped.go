package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go"
)

// A delivery that is due once more is read again from the replica of whoever leads the
// consumer. When that is damaged and cannot find the message, the log takes it for
// removed, settles the delivery for good, and says so, once, to whoever listens. Every
// node that has the project open listens, and gives the message to the group by itself if
// any replica still has it: the same place in the lane is written once.

const (
	// droppedPrefix begins the subjects of what the log says of deliveries that nobody
	// will settle any more, followed by the stream and the consumer.
	// Source: nats-server v2.15.2, server/jetstream_api.go, JSAdvisoryConsumerMsgTerminatedPre.
	droppedPrefix = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."
	// droppedTries bounds how often the same messages are asked for, for a minute each.
	droppedTries = 5
)

// removedReasons are those of deliveries whose message is not there any more; others are
// those of clients. Source: nats-server v2.15.2, server/consumer.go.
var removedReasons = []string{"Unacknowledged message was deleted", "Message deleted by stream limits"}

// dropped are places of messages whose deliveries the log has settled by itself, of one
// reading, while somebody sees to them.
type dropped struct {
	mu     sync.Mutex
	places map[reading][]uint64
}

// add notes a place, and reports whether nobody sees to that reading yet.
func (d *dropped) add(at reading, place uint64) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.places == nil {
		d.places = make(map[reading][]uint64)
	}
	waiting, busy := d.places[at]
	d.places[at] = append(waiting, place)
	return !busy
}

// next takes what has come of a reading, in order and each place once. It ends with nil,
// which is when nobody sees to the reading any more.
func (d *dropped) next(at reading) []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	places := d.places[at]
	if len(places) == 0 {
		delete(d.places, at)
		return nil
	}
	d.places[at] = nil
	slices.Sort(places)
	return slices.Compact(places)
}

// heardDropped takes what the log says of a delivery.
func (s *session) heardDropped(m *nats.Msg) {
	stream, consumer, _ := strings.Cut(strings.TrimPrefix(m.Subject, droppedPrefix), ".")
	queue, ok := parseStreamName(stream)
	if !ok {
		return
	}
	group, gen, ok := parseConsumerName(consumer)
	if !ok {
		return
	}
	var what struct {
		Place  uint64 `json:"stream_seq"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(m.Data, &what); err != nil {
		s.log.LogAttrs(s.base, slog.LevelWarn, "what the log says of a delivery cannot be read", slog.Any("err", err))
		return
	}
	if what.Place == 0 || !slices.Contains(removedReasons, what.Reason) {
		return
	}
	at := reading{dms.GroupRef{QueueRef: dms.QueueRef{Project: s.project, Queue: queue}, Group: group}, gen}
	if s.dropped.add(at, what.Place) {
		s.spawn(func() { s.makeUp(at) }) // ends with the session, or its work
	}
}

// makeUp gives a group what the log has settled by itself, until there is nothing more.
func (s *session) makeUp(at reading) {
	for {
		places := s.dropped.next(at)
		if places == nil {
			return
		}
		for _, row := range rows(places) {
			s.makeUpRow(at, row[0], row[1])
		}
	}
}

// makeUpRow sees to a row of places. What has expired or was purged is nobody's loss.
func (s *session) makeUpRow(at reading, from, to uint64) {
	n, err := 0, error(nil)
	for try := 0; try < droppedTries && s.base.Err() == nil; try++ {
		ctx, cancel := context.WithTimeout(s.base, bridgeLimit)
		n, err = s.fillDropped(ctx, at, from, to)
		cancel()
		if err == nil || errors.Is(err, errGone) || has(err, dms.QueueNotFound) {
			break
		}
		select {
		case <-time.After(longestStop):
		case <-s.base.Done():
		}
	}
	if n == 0 && err == nil {
		return
	}
	s.b.damaged()
	s.log.LogAttrs(s.base, slog.LevelError, "the log settled deliveries that nobody had settled; their messages are given to the group by themselves",
		slog.String("queue", string(at.Queue)), slog.String("group", string(at.Group)), slog.Uint64("from", from), slog.Uint64("to", to), slog.Int("found", n), slog.Any("err", err))
}

// fillDropped is fillGap for a reading that may have ended, or expired, by now.
func (s *session) fillDropped(ctx context.Context, at reading, from, to uint64) (int, error) {
	front, err := s.front(ctx, at.GroupRef.QueueRef)
	if code(err) == codeNoStream {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if from = max(from, front); from > to {
		return 0, nil
	}
	q, err := s.queue(ctx, at.Queue)
	if err != nil {
		return 0, err
	}
	g, err := s.group(ctx, q, at.Group)
	if has(err, dms.GroupNotFound) || err == nil && g.Gen != at.gen {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return s.fillGap(ctx, q, at.GroupRef, from, to)
}

// rows are the unbroken rows, first and last, of places in order.
func rows(places []uint64) (all [][2]uint64) {
	for _, p := range places {
		if n := len(all); n > 0 && all[n-1][1]+1 == p {
			all[n-1][1] = p
		} else {
			all = append(all, [2]uint64{p, p})
		}
	}
	return all
}
