package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dms/tenancy"
)

const (
	bucketName = "projects"
	streamName = "KV_" + bucketName
	subjects   = "$KV." + bucketName + "."
	retryEvery = 200 * time.Millisecond
)

// errConflict means that the record is not at the revision that was to be changed.
var errConflict = errors.New("the record was changed by somebody else")

// bucket reads and writes records. Every read is answered by the leader.
type bucket struct {
	stream jetstream.Stream
	kv     jetstream.KeyValue
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

// errUnsafe means that a bucket is there but cannot be trusted with the records.
var errUnsafe = errors.New("the bucket of projects is not replicated as it must be")

func tryOpen(ctx context.Context, js jetstream.JetStream) (*bucket, error) {
	// The key-value API would make the bucket with direct gets, which followers answer.
	config := jetstream.StreamConfig{
		Name:              streamName,
		Description:       "projects of the service",
		Subjects:          []string{subjects + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          3,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        64 << 10,
		Discard:           jetstream.DiscardNew,
		DenyDelete:        true,
		AllowRollup:       true,
		AllowDirect:       false,
	}
	stream, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, config)
	}
	if err != nil {
		return nil, err
	}
	if got := stream.CachedInfo().Config; got.Replicas != config.Replicas || got.AllowDirect {
		return nil, fmt.Errorf("%w: it has %d replicas, direct gets %t", errUnsafe, got.Replicas, got.AllowDirect)
	}
	kv, err := js.KeyValue(ctx, bucketName)
	if err != nil {
		return nil, err
	}
	return &bucket{stream: stream, kv: kv}, nil
}

// answerWithin is how long one read waits. While the bucket has no leader a request is
// dropped without an answer, so it is asked again rather than waited for.
const answerWithin = 2 * time.Second

func asked(ctx context.Context, f func(context.Context) (*jetstream.RawStreamMsg, error)) (*jetstream.RawStreamMsg, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, answerWithin)
		m, err := f(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
	}
}

// read returns the record of a project, or an entry without one.
func (b *bucket) read(ctx context.Context, id tenancy.ProjectID) (entry, error) {
	m, err := asked(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetLastMsgForSubject(ctx, subjects+string(id))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, fmt.Errorf("read record: %w", err)
	}
	return entryOf(m)
}

// next returns the first change at or after the sequence; ok is false if there is none.
func (b *bucket) next(ctx context.Context, from uint64) (id tenancy.ProjectID, e entry, ok bool, err error) {
	m, err := asked(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subjects+">"))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", entry{}, false, nil
	}
	if err != nil {
		return "", entry{}, false, fmt.Errorf("read changes: %w", err)
	}
	e, err = entryOf(m)
	return tenancy.ProjectID(strings.TrimPrefix(m.Subject, subjects)), e, true, err
}

func entryOf(m *jetstream.RawStreamMsg) (entry, error) {
	e := entry{revision: m.Sequence}
	if m.Header.Get("KV-Operation") != "" {
		return e, nil // deleted
	}
	var err error
	e.rec, err = decode(m.Data)
	return e, err
}

// update writes once there is a leader to write to. What no one received is sent again;
// whether a write that was received took effect is for the caller to find out.
func (b *bucket) update(ctx context.Context, id tenancy.ProjectID, data []byte, at uint64) (uint64, error) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*answerWithin)
		revision, err := b.kv.Update(attempt, string(id), data, at)
		cancel()
		if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
			return revision, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-tick.C:
		}
	}
}

// write puts the record in place of the one at the entry's revision; revision 0 means
// that there must be none and never was.
func (b *bucket) write(ctx context.Context, id tenancy.ProjectID, at uint64, rec record) (entry, error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return entry{}, fmt.Errorf("write record: %w", err)
	}
	revision, err := b.update(ctx, id, data, at)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return entry{}, errConflict
	}
	if err != nil {
		return entry{}, fmt.Errorf("write record: %w", err)
	}
	return entry{rec: &rec, revision: revision}, nil
}

// remove deletes the record at the revision.
func (b *bucket) remove(ctx context.Context, id tenancy.ProjectID, at uint64) error {
	err := b.kv.Delete(ctx, string(id), jetstream.LastRevision(at))
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errConflict
	}
	if err != nil {
		return fmt.Errorf("delete record: %w", err)
	}
	return nil
}
