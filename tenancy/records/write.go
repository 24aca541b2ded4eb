package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Write puts data in place of the record at the revision, or gives ErrConflict; nil data
// marks it as deleted. Revision 0 means that there must be none and never was. A record
// with a life ends by itself; 0 keeps it. A write that nobody answered is repeated until
// ctx ends; that it took effect the first time is then seen in what is there.
func (b *Bucket) Write(ctx context.Context, key string, data []byte, at uint64, life time.Duration) (Item, error) {
	return b.publish(ctx, key, data, life, &at)
}

// Put is Write without a comparison: the last writer wins.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, life time.Duration) (Item, error) {
	return b.publish(ctx, key, data, life, nil)
}

func (b *Bucket) publish(ctx context.Context, key string, data []byte, life time.Duration, at *uint64) (Item, error) {
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
		m := &nats.Msg{Subject: b.subjects + key, Data: data, Header: nats.Header{}}
		if data == nil {
			m.Header.Set(operation, "DEL")
		}
		attempt, cancel := context.WithTimeout(ctx, 2*answerWithin)
		ack, err := b.js.PublishMsg(attempt, m, opts...)
		cancel()
		if err == nil {
			return Item{Key: key, Data: data, Revision: ack.Sequence, Written: time.Now()}, nil
		}
		switch {
		case isConflict(err):
			if unanswered {
				there, err := b.Read(ctx, key)
				if err == nil && there.Revision > *at && bytes.Equal(there.Data, data) {
					return there, nil
				}
			}
			return Item{}, ErrConflict
		case Passing(err):
			unanswered = true // or refused before it was stored, which comes to the same
		default:
			return Item{}, fmt.Errorf("write record: %w", err)
		}
		select {
		case <-ctx.Done():
			return Item{}, fmt.Errorf("write record: %w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
