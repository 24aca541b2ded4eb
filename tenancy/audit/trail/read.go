package trail

import (
	"context"
	"fmt"
	"time"

	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/nats-io/nats.go"
)

const (
	// blockSize is how many records are read at once.
	blockSize = 256
	// behindTries is how often a replica is asked for what the leader has, some 3 s.
	behindTries = 14
	// maxScan is how many records are looked at for one page.
	maxScan = 8192
	// skew is how far the clocks of nodes may be apart. Records are stored at most this
	// much before they were made, as their own time tells.
	skew = time.Minute
)

// Page returns the records that the query selects, in the order in which they were
// stored. A project without a trail has an empty one.
func (t *Trail) Page(ctx context.Context, project tenancy.ProjectID, q audit.Query) (audit.Page, error) {
	var page audit.Page
	err := t.reading(ctx, project, func(ctx context.Context, l *ledger, nc *nats.Conn, first, last uint64) (err error) {
		if q.OldestFirst {
			page, err = l.forwards(ctx, nc, q, first, last)
		} else {
			page, err = l.backwards(ctx, nc, q, first, last)
		}
		return err
	})
	if err != nil {
		return audit.Page{}, fmt.Errorf("read the audit trail of %s: %w", project, err)
	}
	return page, nil
}

// Verify checks the whole chain of the project's trail.
func (t *Trail) Verify(ctx context.Context, project tenancy.ProjectID) (audit.Report, error) {
	var report audit.Report
	err := t.reading(ctx, project, func(ctx context.Context, l *ledger, nc *nats.Conn, first, last uint64) error {
		v := l.chain.Verify()
		for at := first; at <= last && last > 0; {
			some, err := next(ctx, nc, at, last)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				break // what is missing is said by the report
			}
			for _, m := range some {
				if v.Next(m.Sequence, m.Data) != nil {
					report = v.Report(first, last)
					return nil
				}
				at = m.Sequence + 1
			}
		}
		if begins, _, err := bounds(ctx, nc); err == nil {
			first = begins // records may have expired meanwhile
		}
		report = v.Report(first, last)
		return nil
	})
	if err != nil {
		return audit.Report{}, fmt.Errorf("verify the audit trail of %s: %w", project, err)
	}
	return report, nil
}

// reading lets f read the trail between its bounds. Others may write meanwhile.
func (t *Trail) reading(ctx context.Context, project tenancy.ProjectID, f func(ctx context.Context, l *ledger, nc *nats.Conn, first, last uint64) error) error {
	l, err := t.enter(project)
	if err != nil {
		return err
	}
	defer t.leave(l)
	var nc *nats.Conn
	var first, last uint64
	err = t.with(ctx, project, func(ctx context.Context, l *ledger) error {
		return patient(ctx, func(ctx context.Context) error {
			if err := l.open(ctx); err != nil {
				return err
			}
			nc = l.conn
			var err error
			first, last, err = bounds(ctx, nc)
			if code(err) == codeNoStream {
				l.made = false
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	return f(ctx, l, nc, first, last)
}

// next reads the next block up to the sequence last, which the leader is known to have.
// A replica that is behind is asked again; nothing comes back if records are missing.
func next(ctx context.Context, nc *nats.Conn, from, last uint64) (some []message, err error) {
	tries := 0
	err = patient(ctx, func(ctx context.Context) error {
		some, err = block(ctx, nc, from, int(min(blockSize, last-from+1)))
		if err == nil && len(some) == 0 {
			if tries++; tries < behindTries {
				return fmt.Errorf("%w: no replica has record %d yet", tenancy.ErrUnavailable, from)
			}
		}
		return err
	})
	for i, m := range some {
		if m.Sequence > last {
			return some[:i], err
		}
	}
	return some, err
}

func (l *ledger) forwards(ctx context.Context, nc *nats.Conn, q audit.Query, first, last uint64) (audit.Page, error) {
	var page audit.Page
	at := max(first, q.After+1)
	for scanned := 0; at <= last; {
		some, err := next(ctx, nc, at, last)
		if err != nil {
			return audit.Page{}, err
		}
		if len(some) == 0 {
			return page, nil
		}
		for _, m := range some {
			at = m.Sequence + 1
			scanned++
			if e, ok := l.pick(m, q); ok {
				page.Entries = append(page.Entries, e)
			}
			if (len(page.Entries) == q.Limit || scanned == maxScan) && m.Sequence < last {
				page.Next = m.Sequence
				return page, nil
			}
		}
	}
	return page, nil
}

func (l *ledger) backwards(ctx context.Context, nc *nats.Conn, q audit.Query, first, last uint64) (audit.Page, error) {
	var page audit.Page
	top := last
	if q.After > 0 {
		top = min(last, q.After-1)
	}
	for scanned := 0; top >= first && top > 0; {
		from := first
		if top-first >= blockSize {
			from = top - blockSize + 1
		}
		some, err := next(ctx, nc, from, top)
		if err != nil {
			return audit.Page{}, err
		}
		for i := len(some) - 1; i >= 0; i-- {
			m := some[i]
			if !q.From.IsZero() && m.Time.Before(q.From.Add(-skew)) {
				return page, nil // and all before it are older
			}
			scanned++
			if e, ok := l.pick(m, q); ok {
				page.Entries = append(page.Entries, e)
			}
			if (len(page.Entries) == q.Limit || scanned == maxScan) && m.Sequence > first {
				page.Next = m.Sequence
				return page, nil
			}
		}
		if from == first {
			break
		}
		top = from - 1
	}
	return page, nil
}

// pick opens a record and says whether the query selects it. One that is not as it was
// written is passed over here: the check of the chain tells of it.
func (l *ledger) pick(m message, q audit.Query) (audit.Entry, bool) {
	e, _, err := l.chain.Open(m.Sequence, m.Data)
	switch {
	case err != nil,
		!q.From.IsZero() && e.Record.Time.Before(q.From),
		!q.To.IsZero() && !e.Record.Time.Before(q.To),
		!e.Record.Matches(q.Action, q.Actor):
		return audit.Entry{}, false
	}
	return e, true
}
