package mapping

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// recordOverhead is what the log stores beside a message's payload, at most: record
// head, subject with three labels, headers with the id.
const recordOverhead = 512

// usageAge is how old the known usage may be while there is plenty of room. Close to
// the limit it is asked for every time.
const (
	usageAge     = time.Second
	usageTrusted = 30 * time.Second
	// usageLag is half of how long replicas take to tell each other what they hold: what
	// was sent less than twice as long ago may be counted on one of them only.
	usageLag = time.Second
)

// quota keeps a project's sends within its stored bytes. What this node has sent
// since it last asked is counted once for every node, since the others may be doing
// the same. The account's own limit lies above the quota, so that acknowledgements,
// control records and dead letters are still written when a project is full.
type quota struct {
	s *session

	mu       sync.Mutex
	limit    int64
	used     int64     // as the log told
	asked    time.Time // zero: never
	since    int64     // sent by this node since then, or on its way
	inFlight int64
	asking   bool

	newer, older int64     // sent in the current usageLag and in the one before
	turned       time.Time // when the current one began

	audit      int64     // bytes of the audit trail, which grows slowly
	auditAsked time.Time // zero: never
}

func newQuota(s *session) *quota { return &quota{s: s} }

// reserve takes room for a send, or answers QuotaExceeded. The returned function is
// called when the outcome is known. While there is plenty of room the usage is asked
// for beside the send, so that a send never waits for the account's leader.
func (q *quota) reserve(ctx context.Context, size int64) (settle func(), err error) {
	q.mu.Lock()
	known := !q.asked.IsZero() && time.Since(q.asked) < usageTrusted && q.expected(size) <= q.limit
	if known {
		if time.Since(q.asked) > usageAge && !q.asking {
			q.asking = true
			q.s.spawn(func() {
				err := q.ask(q.s.base)
				q.mu.Lock()
				q.asking = false
				q.mu.Unlock()
				if err != nil && q.s.base.Err() == nil {
					q.s.log.LogAttrs(q.s.base, slog.LevelWarn, "cannot read the project's usage", slog.Any("err", err))
				}
			})
		}
	} else {
		q.mu.Unlock()
		if err := q.ask(ctx); err != nil {
			return nil, toError(err)
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	if q.expected(size) > q.limit {
		return nil, dms.Errorf(dms.QuotaExceeded, "the project's storage of %d bytes is used up; it recovers as messages expire or queues are deleted", q.limit)
	}
	q.since += size
	q.newer += size
	q.inFlight += size
	return func() {
		q.mu.Lock()
		q.inFlight -= size
		q.mu.Unlock()
	}, nil
}

func (q *quota) expected(size int64) int64 {
	switch past := time.Since(q.turned); {
	case past >= 2*usageLag:
		q.older, q.newer, q.turned = 0, 0, time.Now()
	case past >= usageLag:
		q.older, q.newer, q.turned = q.newer, 0, time.Now()
	}
	return q.used + (max(q.since, q.newer+q.older)+size)*int64(q.s.b.nodes)
}

// ask reads the project's usage and limit. What was on its way meanwhile may or may
// not be part of the answer, so it stays counted.
func (q *quota) ask(ctx context.Context) error {
	project, err := q.s.b.tenants.Project(ctx, q.s.project)
	if err != nil {
		return err
	}
	q.mu.Lock()
	before, inFlight := q.since, q.inFlight
	audit, known := q.audit, !q.auditAsked.IsZero() && time.Since(q.auditAsked) < usageTrusted
	q.mu.Unlock()
	if !known {
		if audit, err = q.askAudit(ctx); err != nil {
			return err
		}
	}
	var info jetstream.AccountInfo
	err = hold(ctx, func(ctx context.Context) error {
		m, err := q.s.calls.ask(ctx, accountInfo, nil)
		if err != nil {
			return err
		}
		info = jetstream.AccountInfo{}
		return reply(m, &info)
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit, q.asked, q.since = project.Limits.StoredBytes, time.Now(), inFlight+q.since-before
	q.used = int64(info.Store)
	if tier, ok := info.Tiers["R3"]; ok {
		q.used = int64(tier.Store)
	}
	// The log adds up what all replicas hold, while its limits are per replica.
	q.used /= replicas
	if !known {
		q.audit, q.auditAsked = audit, time.Now()
	}
	q.used = max(q.used-audit, 0)
	return nil
}

// askAudit reads how much of the usage is the audit trail, which has room of its own.
func (q *quota) askAudit(ctx context.Context) (int64, error) {
	info, err := q.s.streamInfo(ctx, auditStream, nil)
	if code(err) == codeNoStream {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(info.State.Bytes), nil
}
