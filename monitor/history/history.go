package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dms/monitor/sample"
	"dms/tenancy"
)

// Retention of the two logs.
const (
	FineFor   = 6 * time.Hour  // every sample
	CoarseFor = 72 * time.Hour // one sample a minute
	coarse    = time.Minute
)

// Log is an append-only store that forgets what is older than its retention. Entries of
// a key come back in the order they were appended.
type Log interface {
	// Append stores an entry, once for each id.
	Append(ctx context.Context, key, id string, value []byte) error
	// Read passes the entries from the time on to f.
	Read(ctx context.Context, key string, from time.Time, f func(at time.Time, value []byte) error) error
	// Last returns the newest entry.
	Last(ctx context.Context, key string) (at time.Time, value []byte, ok bool, err error)
}

// History reads and writes the samples of all projects.
type History struct {
	fine, coarse Log
}

// New returns a History over its two logs.
func New(fine, coarse Log) *History { return &History{fine: fine, coarse: coarse} }

// Recorder writes samples. One node at a time has one; it is not safe for concurrent use.
type Recorder struct {
	h    *History
	last map[tenancy.ProjectID]time.Time // of the coarse log
}

// Recorder returns a recorder that takes up where others have ended.
func (h *History) Recorder() *Recorder {
	return &Recorder{h: h, last: make(map[tenancy.ProjectID]time.Time)}
}

// Record stores a sample: each in the fine log, the first of a minute in the coarse one.
func (r *Recorder) Record(ctx context.Context, f sample.Frame) error {
	if len(f.Rows) == 0 {
		return nil
	}
	value, err := encode(f.Rows)
	if err != nil {
		return err
	}
	key := string(f.Project)
	if err := r.h.fine.Append(ctx, key, fmt.Sprintf("%s.%d", key, f.At.UnixNano()), value); err != nil {
		return fmt.Errorf("record sample: %w", err)
	}
	minute := f.At.Truncate(coarse)
	if !minute.After(r.last[f.Project]) {
		return nil
	}
	// The id lets only one sample of a minute in when recorders follow each other.
	if err := r.h.coarse.Append(ctx, key, fmt.Sprintf("%s.%d", key, minute.Unix()), value); err != nil {
		return fmt.Errorf("record sample: %w", err)
	}
	r.last[f.Project] = minute
	return nil
}

// Last returns the project's newest sample, without names, and false when there is none.
func (h *History) Last(ctx context.Context, project tenancy.ProjectID) (sample.Frame, bool, error) {
	at, value, ok, err := h.fine.Last(ctx, string(project))
	if err != nil || !ok {
		return sample.Frame{}, false, err
	}
	f := sample.Frame{Project: project, At: at}
	err = decode(value, func(r sample.Row) {
		r.Values = append([]int64(nil), r.Values...)
		f.Rows = append(f.Rows, r)
	})
	return f, err == nil, err
}

// Query asks for the values of metrics between two times, a point for each step.
type Query struct {
	Metrics  []sample.Metric
	Key      sample.Key // empty parts match every queue or group
	From, To time.Time
	Step     time.Duration
}

// MostPoints bounds the points of one series.
const MostPoints = 2000

// Points is how many points each series of the answer has.
func (q Query) Points() int { return int((q.To.Sub(q.From) + q.Step - 1) / q.Step) }

// Series is one metric of one queue or group. Points[i] covers the step that begins at
// From + i × Step: the mean of a gauge, the last value of a total, nil where nothing is
// known.
type Series struct {
	Metric sample.Metric
	Key    sample.Key
	Points []*float64
}

// cell gathers the values of one point.
type cell struct {
	sum  float64
	n    int
	last int64
}

// Query answers from the log that fits the range and the step.
func (h *History) Query(ctx context.Context, project tenancy.ProjectID, q Query, now time.Time) ([]Series, error) {
	if q.Step <= 0 || !q.To.After(q.From) || q.Points() > MostPoints {
		return nil, errors.New("query: the range does not fit the step")
	}
	log := h.fine
	if now.Sub(q.From) > FineFor || q.Step >= coarse && q.To.Sub(q.From) > time.Hour {
		log = h.coarse
	}
	places := make([]int, len(q.Metrics))
	for i, m := range q.Metrics {
		_, places[i], _ = sample.Find(m.ID)
	}
	type id struct {
		metric int
		key    sample.Key
	}
	cells := make(map[id][]cell)
	var order []id
	err := log.Read(ctx, string(project), q.From, func(at time.Time, value []byte) error {
		i := int(at.Sub(q.From) / q.Step)
		if at.Before(q.From) || i >= q.Points() {
			return nil
		}
		return decode(value, func(r sample.Row) {
			if q.Key.Queue != "" && r.Queue != q.Key.Queue || q.Key.Group != "" && r.Group != q.Key.Group {
				return
			}
			for m, metric := range q.Metrics {
				if metric.Level != r.Level() {
					continue
				}
				at := id{m, r.Key}
				series, ok := cells[at]
				if !ok {
					series = make([]cell, q.Points())
					cells[at] = series
					order = append(order, at)
				}
				if v, ok := r.Value(places[m]); ok {
					c := &series[i]
					c.sum, c.n, c.last = c.sum+float64(v), c.n+1, v
				}
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	all := make([]Series, len(order))
	for i, at := range order {
		m := q.Metrics[at.metric]
		s := Series{Metric: m, Key: at.key, Points: make([]*float64, q.Points())}
		for p, c := range cells[at] {
			if c.n == 0 {
				continue
			}
			v := float64(c.last)
			if m.Kind == sample.Gauge {
				v = c.sum / float64(c.n)
			}
			s.Points[p] = &v
		}
		all[i] = s
	}
	return all, nil
}
