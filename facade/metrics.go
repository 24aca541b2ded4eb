package facade

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"dms/mapping/dms"
	"dms/monitor/history"
	"dms/monitor/sample"
)

// Bounds of a question about metrics.
const (
	mostMetrics = 10
	leastStep   = time.Second
	mostStep    = 24 * time.Hour
	// defaultPoints is about how many points there are when no step is asked for.
	defaultPoints = 120
)

type metricList struct {
	Metrics []sample.Metric `json:"metrics"`
}

type metricData struct {
	From   int64          `json:"from"` // epoch milliseconds
	To     int64          `json:"to"`
	Step   int64          `json:"step"` // seconds
	Series []metricSeries `json:"series"`
}

type metricSeries struct {
	Metric  string        `json:"metric"`
	Unit    string        `json:"unit"`
	QueueID dms.QueueID   `json:"queue_id"`
	GroupID dms.GroupID   `json:"group_id,omitempty"`
	Points  []metricPoint `json:"points"`
}

type metricPoint struct {
	Time  int64    `json:"timestamp"` // epoch milliseconds, the beginning of the step
	Value *float64 `json:"value"`     // null where nothing is known
}

// showMetrics answers which metrics there are or, for those that are named, what they
// were.
func (a *API) showMetrics(c *call) error {
	if a.o.Metrics == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	if len(c.query["metric"]) == 0 {
		return c.encode(http.StatusOK, metricList{sample.All()})
	}
	now := a.o.Now()
	q, err := c.metricQuery(now)
	if err != nil {
		return err
	}
	found, err := a.o.Metrics.Query(c.ctx(), c.project.ID, q, now)
	if err != nil {
		return unavailable(err)
	}
	data := metricData{From: q.From.UnixMilli(), To: q.To.UnixMilli(), Step: int64(q.Step / time.Second), Series: make([]metricSeries, len(found))}
	for i, s := range found {
		one := metricSeries{Metric: s.Metric.ID, Unit: s.Metric.Unit, QueueID: s.Key.Queue, GroupID: s.Key.Group}
		for p, v := range s.Points {
			one.Points = append(one.Points, metricPoint{q.From.Add(time.Duration(p) * q.Step).UnixMilli(), v})
		}
		data.Series[i] = one
	}
	return c.encode(http.StatusOK, data)
}

// metricQuery reads the parameters of a question about metrics.
func (c *call) metricQuery(now time.Time) (q history.Query, err error) {
	for _, value := range c.query["metric"] {
		for id := range strings.SplitSeq(value, ",") {
			m, _, ok := sample.Find(id)
			if !ok {
				return q, dms.Errorf(dms.BadParameters, "metric names nothing that is measured; the request without it lists what is")
			}
			q.Metrics = append(q.Metrics, m)
		}
	}
	if len(q.Metrics) > mostMetrics {
		return q, dms.Errorf(dms.BadParameters, "metric must name at most %d metrics", mostMetrics)
	}
	if v, err := c.one("queue"); err != nil {
		return q, err
	} else if v != "" {
		if q.Key.Queue, err = dms.ParseQueueID(v); err != nil {
			return q, err
		}
	}
	if v, err := c.one("group"); err != nil {
		return q, err
	} else if v != "" {
		if q.Key.Group, err = dms.ParseGroupID(v); err != nil {
			return q, err
		}
	}
	if q.To, err = c.moment("to", now); err != nil {
		return q, err
	}
	if q.From, err = c.moment("from", q.To.Add(-time.Hour)); err != nil {
		return q, err
	}
	span := q.To.Sub(q.From)
	if span <= 0 || span > history.CoarseFor {
		return q, dms.Errorf(dms.BadParameters, "from must be before to, by at most 72 hours")
	}
	absent := max((span / defaultPoints).Truncate(10*time.Second), 10*time.Second)
	v, err := c.one("step")
	if err != nil {
		return q, err
	}
	q.Step = absent
	if v != "" {
		n, err := strconv.Atoi(v)
		q.Step = time.Duration(n) * time.Second
		if err != nil || n < int(leastStep/time.Second) || n > int(mostStep/time.Second) {
			return q, dms.Errorf(dms.BadParameters, "step must be 1 to 86400 seconds")
		}
	}
	if q.Points() > history.MostPoints {
		return q, dms.Errorf(dms.BadParameters, "step is too small: there would be more than %d points", history.MostPoints)
	}
	return q, nil
}

// moment reads a time in milliseconds since 1970.
func (c *call) moment(name string, absent time.Time) (time.Time, error) {
	v, err := c.one(name)
	if err != nil || v == "" {
		return absent, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil || ms < 0 || ms > 1<<50 {
		return time.Time{}, dms.Errorf(dms.BadParameters, "%s must be a time in milliseconds since 1970", name)
	}
	return time.UnixMilli(ms), nil
}
