package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ctl is the project's bucket of control records. Reads are answered by the leader,
// so they are never stale; writes name the revision they replace.
//
// A write carries an id of its own and is repeated under it while the leader is
// away, so that it is known in the end whether it was this write that took effect.
type ctl struct {
	s      *session
	bucket needed
}

func newCtl(s *session) *ctl { return &ctl{s: s, bucket: needed{config: ctlConfig}} }

// errConflict says that the record has changed since it was read.
var errConflict = errors.New("the record has changed")

// get returns a record and its revision; revision 0 means that there is none.
func (c *ctl) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	request := mustJSON(map[string]string{"last_by_subj": ctlPrefix + key})
	err = hold(ctx, func(ctx context.Context) error {
		m, err := c.s.calls.look(ctx, msgGetPrefix+ctlStream, request)
		if err != nil {
			return err
		}
		var found storedMessage
		if err := reply(m, &found); err != nil {
			return err
		}
		value, revision = found.Message.Data, found.Message.Seq
		return nil
	})
	if absent(err) {
		return nil, 0, nil
	}
	return value, revision, err
}

// storedMessage is the log's answer to a read by sequence or subject.
type storedMessage struct {
	Message struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Header  []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

// found is the message as one read directly.
func (m storedMessage) found() (found, error) {
	header := nats.Header{}
	if len(m.Message.Header) > 0 {
		var err error
		if header, err = nats.DecodeHeadersMsg(m.Message.Header); err != nil {
			return found{}, fmt.Errorf("message %d: headers: %w", m.Message.Seq, err)
		}
	}
	return found{seq: m.Message.Seq, subject: m.Message.Subject, header: header, sent: m.Message.Time, payload: m.Message.Data}, nil
}

func absentStream(err error) bool { return code(err) == codeNoStream }

func absent(err error) bool { return code(err) == codeNoMessage || code(err) == codeNoStream }

// put replaces the record at the revision (0 for a new one) and returns the new
// revision, or errConflict. A ttl of 0 means that the record stays.
func (c *ctl) put(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	if err := c.bucket.ensure(ctx, c.s); err != nil {
		return 0, err
	}
	m := nats.NewMsg(ctlPrefix + key)
	m.Data = value
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	if ttl > 0 {
		m.Header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10)+"s")
	}
	ack, err := c.s.publish(ctx, m, uuid.NewString())
	if wrongSequence(err) {
		return 0, errConflict
	}
	return ack.Sequence, err
}

// purge removes all records whose keys match.
func (c *ctl) purge(ctx context.Context, keys ...string) error {
	return c.s.purge(ctx, ctlStream, prefixed(keys)...)
}

func prefixed(keys []string) []string {
	subjects := make([]string, len(keys))
	for i, k := range keys {
		subjects[i] = ctlPrefix + k
	}
	return subjects
}

// change reads a record, lets f change it and writes it, as often as it takes. f
// must tolerate being called again on a newer state.
func (c *ctl) change(ctx context.Context, id dms.QueueID, f func(*record) error) (*record, error) {
	for {
		r, revision, err := c.record(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := f(r); err != nil {
			return nil, err
		}
		_, err = c.put(ctx, recordKey(id), mustJSON(r), revision, 0)
		if errors.Is(err, errConflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

func (c *ctl) record(ctx context.Context, id dms.QueueID) (*record, uint64, error) {
	value, revision, err := c.get(ctx, recordKey(id))
	if err != nil {
		return nil, 0, err
	}
	r := &record{}
	if revision > 0 {
		if err := json.Unmarshal(value, r); err != nil {
			return nil, 0, err
		}
	}
	return r, revision, nil
}

// pubAck is the log's answer to a stored message.
type pubAck struct {
	Stream    string `json:"stream"`
	Sequence  uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

// publish stores one message under the id, repeating it while the leader is away.
func (s *session) publish(ctx context.Context, m *nats.Msg, id string) (pubAck, error) {
	m.Header.Set(jetstream.MsgIDHeader, id)
	var ack pubAck
	err := hold(ctx, func(ctx context.Context) error {
		c, err := s.calls.start(m)
		if err != nil {
			return err
		}
		answer, err := c.wait(ctx)
		if err != nil {
			return err
		}
		return reply(answer, &ack)
	})
	return ack, err
}

// purge removes the messages of a stream that match one of the filters. A stream
// that is not there has nothing to remove.
func (s *session) purge(ctx context.Context, stream string, filters ...string) error {
	for _, f := range filters {
		err := hold(ctx, func(ctx context.Context) error {
			m, err := s.calls.ask(ctx, purgePrefix+stream, mustJSON(map[string]string{"filter": f}))
			if err != nil {
				return err
			}
			return reply(m, nil)
		})
		if err != nil && code(err) != codeNoStream {
			return err
		}
	}
	return nil
}
