package control

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucket     = "monitor"
	stream     = "KV_" + bucket
	prefix     = "$KV." + bucket + "."
	retryEvery = 200 * time.Millisecond
	// attempt is how long one question waits. Without a leader it is dropped unheard, so
	// it is asked again rather than waited for.
	attempt  = 2 * time.Second
	replicas = 3
	// maxRecord bounds one record or log entry in bytes.
	maxRecord = 1 << 20
)

// ErrConflict means that a record is not at the revision that was to be replaced.
var ErrConflict = errors.New("the record was changed by somebody else")

// Record is one record with its key.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64 // 0: there is none
}

// Store holds the records. It is safe for concurrent use.
type Store struct {
	conn *nats.Conn
	js   jetstream.JetStream
	kv   jetstream.Stream
}

// Open opens the records, or makes room for them, trying until ctx ends. The caller
// closes the connection when the store is not used any more.
func Open(ctx context.Context, conn *nats.Conn) (*Store, error) {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(attempt))
	if err != nil {
		return nil, fmt.Errorf("open control records: %w", err)
	}
	s := &Store{conn: conn, js: js}
	config := jetstream.StreamConfig{
		Name: stream, Subjects: []string{prefix + ">"}, Storage: jetstream.FileStorage, Replicas: replicas,
		MaxMsgsPerSubject: 1, MaxMsgSize: maxRecord, Discard: jetstream.DiscardNew, AllowRollup: true,
		// No direct gets: a follower may answer them with a record that has been replaced.
		AllowDirect: false,
	}
	if s.kv, err = s.ensure(ctx, config); err != nil {
		return nil, fmt.Errorf("open control records: %w", err)
	}
	return s, nil
}

// ensure opens a stream or makes it, trying until ctx ends: while a cluster starts there
// is nobody to answer. One whose limits have been changed is changed.
func (s *Store) ensure(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	var made jetstream.Stream
	err := retry(ctx, func(ctx context.Context) (err error) {
		if made, err = s.js.Stream(ctx, config.Name); err == nil {
			have := made.CachedInfo().Config
			if have.MaxBytes == config.MaxBytes && have.MaxAge == config.MaxAge && have.Compression == config.Compression {
				return nil
			}
			made, err = s.js.UpdateStream(ctx, config)
			return err
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			made, err = s.js.CreateStream(ctx, config)
		}
		return err
	})
	return made, err
}

// retry repeats f, each attempt with a time of its own, while what it answers may pass.
func retry(ctx context.Context, f func(context.Context) error) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, attempt)
		err := f(once)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// passing reports whether a later attempt may fare better.
func passing(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case 10008, 10009, 10023, 10039, 10005, 10167: // no leader, or not yet
			return true
		}
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrDisconnected)
}

// Get reads a record from its leader; revision 0 means that there is none.
func (s *Store) Get(ctx context.Context, key string) (r Record, err error) {
	r.Key = key
	err = retry(ctx, func(ctx context.Context) error {
		m, err := s.kv.GetLastMsgForSubject(ctx, prefix+key)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			r.Value, r.Revision = m.Data, m.Sequence
		}
		return err
	})
	if err != nil {
		return r, fmt.Errorf("read record %s: %w", key, err)
	}
	return r, nil
}

// Put replaces the record at the revision, 0 for one that does not exist, and returns the
// new revision, or ErrConflict. A write whose answer is lost is repeated under the same
// identity, so that what comes back is its own outcome.
func (s *Store) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m := nats.NewMsg(prefix + key)
	m.Data = value
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	m.Header.Set(jetstream.MsgIDHeader, nats.NewInbox())
	var next uint64
	err := retry(ctx, func(ctx context.Context) error {
		ack, err := s.js.PublishMsg(ctx, m)
		if err == nil {
			next = ack.Sequence
		}
		return err
	})
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && (api.ErrorCode == 10071 || api.ErrorCode == 10164) {
		return 0, ErrConflict
	}
	if err != nil {
		return 0, fmt.Errorf("write record %s: %w", key, err)
	}
	return next, nil
}

// Delete removes a record whatever its revision.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := retry(ctx, func(ctx context.Context) error {
		return s.kv.Purge(ctx, jetstream.WithPurgeSubject(prefix+key))
	})
	if err != nil {
		return fmt.Errorf("delete record %s: %w", key, err)
	}
	return nil
}

// List reads the records whose keys match a pattern and that were changed at the revision
// or later, as the leader has them, ordered by their latest change; from 0 it reads all.
// "*" in the pattern stands for one word, ">" at its end for all that follow. Deleted
// records are not told of.
func (s *Store) List(ctx context.Context, pattern string, from uint64) (all []Record, err error) {
	for from = max(from, 1); ; {
		var next *jetstream.RawStreamMsg
		err := retry(ctx, func(ctx context.Context) (err error) {
			next, err = s.kv.GetMsg(ctx, from, jetstream.WithGetMsgSubject(prefix+pattern))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				next, err = nil, nil
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list records %s: %w", pattern, err)
		}
		if next == nil {
			return all, nil
		}
		all = append(all, Record{Key: next.Subject[len(prefix):], Value: next.Data, Revision: next.Sequence})
		from = next.Sequence + 1
	}
}
