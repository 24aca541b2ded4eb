package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// answerWithin is how long one question waits. While the bucket has no leader a
	// request is dropped without an answer, so it is asked again rather than waited for.
	answerWithin = 2 * time.Second
	retryEvery   = 200 * time.Millisecond
	replicas     = 3
	maxRecord    = 64 << 10 // bytes
	// operation marks a deleted record, as the key-value convention of the storage has it.
	operation = "KV-Operation"
)

var (
	// ErrConflict means that the record is not at the revision that was to be changed.
	ErrConflict = errors.New("the record was changed by somebody else")
	// ErrUnsafe means that a bucket is there but cannot be trusted with records.
	ErrUnsafe = errors.New("the bucket is not replicated as it must be")
)

// Config describes a bucket.
type Config struct {
	Name        string // letters
	Description string
	MaxBytes    int64 // keeps it from starving others of the account; 0: no limit
	Lives       bool  // records may end by themselves; see Bucket.Write
}

// Item is one record. A deleted one has no data.
type Item struct {
	Key      string
	Data     []byte
	Revision uint64 // of the whole bucket; 0 for a record that was never there
	Written  time.Time
}

// Bucket reads and writes records. Every read is answered by the leader. It is safe for
// concurrent use.
type Bucket struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	subjects string // the start of each
}

// Open opens the bucket, or makes it. It tries again until ctx ends: at the start of a
// cluster there is no leader to ask for a while. ErrUnsafe, wrapped, is final.
func Open(ctx context.Context, conn *nats.Conn, c Config) (*Bucket, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, answerWithin)
		b, err := tryOpen(attempt, js, c)
		cancel()
		if err == nil || errors.Is(err, ErrUnsafe) {
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func tryOpen(ctx context.Context, js jetstream.JetStream, c Config) (*Bucket, error) {
	b := &Bucket{js: js, subjects: "$KV." + c.Name + "."}
	// The key-value API would make the bucket with direct gets, which followers answer.
	config := jetstream.StreamConfig{
		Name:              "KV_" + c.Name,
		Description:       c.Description,
		Subjects:          []string{b.subjects + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        maxRecord,
		MaxBytes:          c.MaxBytes,
		Discard:           jetstream.DiscardNew,
		DenyDelete:        true,
		AllowRollup:       true,
		AllowMsgTTL:       c.Lives,
		AllowDirect:       false,
	}
	stream, err := js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, config)
	}
	if err != nil {
		return nil, err
	}
	if got := stream.CachedInfo().Config; got.Replicas != replicas || got.AllowDirect || got.AllowMsgTTL != c.Lives {
		return nil, fmt.Errorf("%w: %s has %d replicas, direct gets %t, lives of records %t", ErrUnsafe, c.Name, got.Replicas, got.AllowDirect, got.AllowMsgTTL)
	}
	b.stream = stream
	return b, nil
}

// Read returns the record; one that was never there has revision 0.
func (b *Bucket) Read(ctx context.Context, key string) (Item, error) {
	i, _, err := b.ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetLastMsgForSubject(ctx, b.subjects+key)
	})
	if err != nil {
		return Item{}, fmt.Errorf("read record: %w", err)
	}
	i.Key = key
	return i, nil
}

// Next returns the first change at or after the revision; ok is false if there is none.
// Changes that were followed by another of the same record are passed over.
func (b *Bucket) Next(ctx context.Context, from uint64) (i Item, ok bool, err error) {
	i, ok, err = b.ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(b.subjects+">"))
	})
	if err != nil {
		err = fmt.Errorf("read changes: %w", err)
	}
	return i, ok, err
}

func (b *Bucket) ask(ctx context.Context, f func(context.Context) (*jetstream.RawStreamMsg, error)) (Item, bool, error) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, answerWithin)
		m, err := f(attempt)
		cancel()
		switch {
		case err == nil:
			i := Item{Key: strings.TrimPrefix(m.Subject, b.subjects), Revision: m.Sequence, Written: m.Time}
			if m.Header.Get(operation) == "" {
				i.Data = m.Data
			}
			return i, true, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return Item{}, false, nil
		case ctx.Err() != nil || !Passing(err):
			return Item{}, false, err
		}
		select {
		case <-ctx.Done():
			return Item{}, false, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// Passing reports whether an error of the storage says that it cannot answer yet: nobody
// leads, or the member that was asked does not know who does.
func Passing(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case 10008, // temporarily unavailable
			10009, // not the leader
			10005, // no suitable members
			10023, // insufficient resources
			10039, // storage of the account not loaded yet
			10167: // too many questions
			return true
		}
		return false
	}
	for _, passing := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, jetstream.ErrNoStreamResponse,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
