package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	logSubjects = "log."
	// readAtOnce bounds the entries, and readBytes the bytes, of one answer to a read.
	readAtOnce = 500
	readBytes  = 4 << 20
)

// LogOptions say what a log keeps. What is older or more is forgotten, oldest first.
type LogOptions struct {
	Name   string        // one word, part of the names it is stored under
	MaxAge time.Duration // 0 keeps entries until there are too many
	Bytes  int64         // of all entries together
	PerKey int64         // entries of one key; 0 is no limit
}

// Log is an append-only store of entries under keys.
type Log struct {
	s    *Store
	name string
}

// Entry is one entry of a log.
type Entry struct {
	At    time.Time // when it was stored
	Value []byte
}

// Log opens a log or makes it, trying until ctx ends. Entries are not compressed: the
// storage has had errors with compressed blocks that it cuts, encrypts or catches up
// with. One that an earlier version compressed stays readable, and new entries are plain.
func (s *Store) Log(ctx context.Context, o LogOptions) (*Log, error) {
	limit := o.PerKey
	if limit == 0 {
		limit = -1
	}
	_, err := s.ensure(ctx, jetstream.StreamConfig{
		Name: "log_" + o.Name, Subjects: []string{logSubjects + o.Name + ".>"}, Storage: jetstream.FileStorage,
		Replicas: replicas, MaxAge: o.MaxAge, MaxBytes: o.Bytes, MaxMsgsPerSubject: limit, MaxMsgSize: maxRecord,
		Discard: jetstream.DiscardOld, AllowDirect: true, Duplicates: dedupe(o.MaxAge),
	})
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", o.Name, err)
	}
	return &Log{s: s, name: o.Name}, nil
}

// dedupe is for how long an entry's id is remembered.
func dedupe(age time.Duration) time.Duration {
	if age > 0 {
		return min(age, 2*time.Minute)
	}
	return 2 * time.Minute
}

// Append stores an entry under the key. One with the same id within two minutes is stored
// once.
func (l *Log) Append(ctx context.Context, key, id string, value []byte) error {
	err := retry(ctx, func(ctx context.Context) error {
		_, err := l.s.js.Publish(ctx, logSubjects+l.name+"."+key, value, jetstream.WithMsgID(id))
		return err
	})
	if err != nil {
		return fmt.Errorf("append to log %s: %w", l.name, err)
	}
	return nil
}

// Read passes the key's entries from the time on to f, oldest first, until f fails. An
// entry that was appended a moment ago may be missing.
func (l *Log) Read(ctx context.Context, key string, from time.Time, f func(Entry) error) error {
	request := map[string]any{"next_by_subj": logSubjects + l.name + "." + key, "batch": readAtOnce, "max_bytes": readBytes}
	if from.Unix() > 0 {
		request["start_time"] = from.UTC().Format(time.RFC3339Nano)
	} else {
		request["seq"] = 1
	}
	for {
		last, more, err := l.batch(ctx, request, f)
		if err != nil {
			return fmt.Errorf("read log %s: %w", l.name, err)
		}
		if !more {
			return nil
		}
		delete(request, "start_time")
		request["seq"] = last + 1
	}
}

// Last returns the newest entry of the key; ok is false when there is none.
func (l *Log) Last(ctx context.Context, key string) (e Entry, ok bool, err error) {
	err = retry(ctx, func(ctx context.Context) error {
		// The library would ask any replica, and one may not have heard of the last change.
		m, err := l.s.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.log_"+l.name, encode(map[string]any{"last_by_subj": logSubjects + l.name + "." + key}))
		if err != nil {
			return err
		}
		var found struct {
			Message struct {
				Data []byte    `json:"data"`
				Time time.Time `json:"time"`
			} `json:"message"`
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &found); err != nil {
			return err
		}
		if found.Error == nil {
			e, ok = Entry{At: found.Message.Time, Value: found.Message.Data}, true
			return nil
		}
		if found.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil
		}
		return found.Error
	})
	if err != nil {
		return e, false, fmt.Errorf("read log %s: %w", l.name, err)
	}
	return e, ok, nil
}

// Forget removes all entries of the keys that match the pattern.
func (l *Log) Forget(ctx context.Context, pattern string) error {
	err := retry(ctx, func(ctx context.Context) error {
		stream, err := l.s.js.Stream(ctx, "log_"+l.name)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject(logSubjects+l.name+"."+pattern))
	})
	if err != nil {
		return fmt.Errorf("forget log %s: %w", l.name, err)
	}
	return nil
}

// batch asks once for several entries. It returns the sequence of the last and whether
// there may be more.
func (l *Log) batch(ctx context.Context, request map[string]any, f func(Entry) error) (last uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*attempt)
	defer cancel()
	sub, err := l.s.conn.SubscribeSync(l.s.conn.NewInbox())
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, sub.Unsubscribe()) }()
	if err := l.s.conn.PublishMsg(&nats.Msg{Subject: "$JS.API.DIRECT.GET.log_" + l.name, Reply: sub.Subject, Data: encode(request)}); err != nil {
		return 0, false, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return last, false, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the end of the answer; it says how many entries are left
			return last, last > 0 && m.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return last, false, nil
		default:
			return last, false, fmt.Errorf("%s %s", status, m.Header.Get("Description"))
		}
		if last, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64); err != nil {
			return last, false, fmt.Errorf("sequence: %w", err)
		}
		at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
		if err != nil {
			return last, false, fmt.Errorf("time: %w", err)
		}
		if err := f(Entry{At: at, Value: m.Data}); err != nil {
			return last, false, err
		}
	}
}
