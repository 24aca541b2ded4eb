package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName = "KV_credentials"
	subjects   = "$KV.credentials."
	// maxBytes keeps this bucket from starving the others of the account.
	maxBytes = 32 << 20

	retryEvery = 200 * time.Millisecond
	// answerWithin is how long one question waits. While the bucket has no leader a
	// request is dropped without an answer, so it is asked again rather than waited for.
	answerWithin = 2 * time.Second
	// markLife is how long the mark of a deleted key and a revocation last: longer than
	// any token.
	markLife = 25 * time.Hour
)

// Kinds of records, by the start of their name.
const (
	kindKey     = "k."
	kindRevoked = "r."
	kindUsed    = "u."
)

// errConflict means that the record is not at the revision that was to be changed.
var errConflict = errors.New("the record was changed by somebody else")

// errUnsafe means that a bucket is there but cannot be trusted with the records.
var errUnsafe = errors.New("the bucket of credentials is not replicated as it must be")

// item is one record as it is in the bucket; a deleted one has no data.
type item struct {
	name     string // kind and id
	data     []byte
	revision uint64
	written  time.Time
}

// bucket reads and writes records. Every read is answered by the leader.
type bucket struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// openBucket opens the bucket, or makes it. It tries again until ctx ends: at the start
// of a cluster there is no leader to ask for a while.
func openBucket(ctx context.Context, nc *nats.Conn) (*bucket, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, answerWithin)
		b, err := tryOpen(attempt, js)
		cancel()
		if err == nil || errors.Is(err, errUnsafe) {
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func tryOpen(ctx context.Context, js jetstream.JetStream) (*bucket, error) {
	config := jetstream.StreamConfig{
		Name:              streamName,
		Description:       "access keys and revoked tokens of the service",
		Subjects:          []string{subjects + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          3,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        64 << 10,
		MaxBytes:          maxBytes,
		Discard:           jetstream.DiscardNew,
		DenyDelete:        true,
		AllowRollup:       true,
		AllowMsgTTL:       true,
		AllowDirect:       false, // followers would answer
	}
	stream, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, config)
	}
	if err != nil {
		return nil, err
	}
	if got := stream.CachedInfo().Config; got.Replicas != config.Replicas || got.AllowDirect || !got.AllowMsgTTL {
		return nil, fmt.Errorf("%w: it has %d replicas, direct gets %t, lives of records %t", errUnsafe, got.Replicas, got.AllowDirect, got.AllowMsgTTL)
	}
	return &bucket{js: js, stream: stream}, nil
}

func asked(ctx context.Context, f func(context.Context) (*jetstream.RawStreamMsg, error)) (item, bool, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, answerWithin)
		m, err := f(attempt)
		cancel()
		switch {
		case err == nil:
			i := item{name: strings.TrimPrefix(m.Subject, subjects), revision: m.Sequence, written: m.Time}
			if m.Header.Get("KV-Operation") == "" {
				i.data = m.Data
			}
			return i, true, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return item{}, false, nil
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return item{}, false, err
		}
	}
}

// read returns the record; one that was never there has revision 0.
func (b *bucket) read(ctx context.Context, name string) (item, error) {
	i, _, err := asked(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetLastMsgForSubject(ctx, subjects+name)
	})
	if err != nil {
		return item{}, fmt.Errorf("read record: %w", err)
	}
	i.name = name
	return i, nil
}

// next returns the first change at or after the sequence; ok is false if there is none.
func (b *bucket) next(ctx context.Context, from uint64) (i item, ok bool, err error) {
	i, ok, err = asked(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subjects+">"))
	})
	if err != nil {
		err = fmt.Errorf("read changes: %w", err)
	}
	return i, ok, err
}

// write puts data in place of the record at the revision; nil data marks it as deleted.
// Revision 0 means that there must be none. A write that nobody answered is repeated
// until ctx ends; that it took effect the first time is then seen in what is there.
func (b *bucket) write(ctx context.Context, name string, data []byte, at uint64, life time.Duration) (item, error) {
	return b.publish(ctx, name, data, life, &at)
}

// put is write without a comparison: the last writer wins.
func (b *bucket) put(ctx context.Context, name string, data []byte, life time.Duration) (item, error) {
	return b.publish(ctx, name, data, life, nil)
}

func (b *bucket) publish(ctx context.Context, name string, data []byte, life time.Duration, at *uint64) (item, error) {
	var opts []jetstream.PublishOpt
	if at != nil {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(*at))
	}
	if life > 0 {
		opts = append(opts, jetstream.WithMsgTTL(life))
	}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for unanswered := false; ; {
		m := &nats.Msg{Subject: subjects + name, Data: data, Header: nats.Header{}}
		if data == nil {
			m.Header.Set("KV-Operation", "DEL")
		}
		attempt, cancel := context.WithTimeout(ctx, 2*answerWithin)
		ack, err := b.js.PublishMsg(attempt, m, opts...)
		cancel()
		if err == nil {
			return item{name: name, data: data, revision: ack.Sequence, written: time.Now()}, nil
		}
		switch {
		case isConflict(err):
			if unanswered {
				there, err := b.read(ctx, name)
				if err == nil && there.revision > *at && bytes.Equal(there.data, data) {
					return there, nil
				}
			}
			return item{}, errConflict
		case errors.Is(err, context.DeadlineExceeded):
			unanswered = true
		case !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders):
			return item{}, fmt.Errorf("write record: %w", err)
		}
		select {
		case <-ctx.Done():
			return item{}, fmt.Errorf("write record: %w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
