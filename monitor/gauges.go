package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dms/monitor/sample"
	"dms/monitor/watch"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Watched is what is exported of the watching of queues.
type Watched interface {
	// Latest is nil on a node that does not watch.
	Latest() *watch.Latest
	Deliveries() (arrived, failed, givenUp int64)
	LostPasses() int64
}

// instruments makes observable instruments and remembers what went wrong.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	err   error
}

func (i *instruments) gauge(name, unit, help string) metric.Int64Observable {
	g, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
	return add(i, g, err)
}

func (i *instruments) total(name, unit, help string) metric.Int64Observable {
	c, err := i.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
	return add(i, c, err)
}

func add(i *instruments, o metric.Int64Observable, err error) metric.Int64Observable {
	i.err = errors.Join(i.err, err)
	i.all = append(i.all, o)
	return o
}

func (i *instruments) seconds(name, help string) metric.Float64Observable {
	g, err := i.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(help))
	i.err = errors.Join(i.err, err)
	i.all = append(i.all, g)
	return g
}

func (i *instruments) register(f metric.Callback) error {
	if i.err == nil {
		_, i.err = i.meter.RegisterCallback(f, i.all...)
	}
	if i.err != nil {
		return fmt.Errorf("telemetry: %w", i.err)
	}
	return nil
}

// instrumentOf is the name of a metric of a queue or group before the exporter has put
// the unit behind it, and the unit.
func instrumentOf(m sample.Metric) (name, unit string) {
	name = strings.TrimSuffix(m.Prometheus, "_total")
	switch m.Unit {
	case "bytes":
		name, unit = strings.TrimSuffix(name, "_bytes"), "By"
	case "seconds":
		name, unit = strings.TrimSuffix(name, "_seconds"), "s"
	}
	return strings.Replace(name, "_", ".", 2), unit
}

// Watch exports the figures of queues and groups and how the watching itself fares. They
// come from the one node that watches, so that nothing is there twice. Of queues and of
// groups, no more than the limit of series are exported: those with the most messages.
func (t *Telemetry) Watch(w Watched) error {
	i := &instruments{meter: t.provider.Meter("dms/monitor")}
	figures := make(map[sample.Level][]metric.Int64Observable)
	for _, m := range sample.All() {
		name, unit := instrumentOf(m)
		if m.Kind == sample.Total {
			figures[m.Level] = append(figures[m.Level], i.total(name, unit, m.Help))
		} else {
			figures[m.Level] = append(figures[m.Level], i.gauge(name, unit, m.Help))
		}
	}
	dropped := i.gauge("dms.series.dropped", "", "Queues and groups that are not exported because there are more than the limit.")
	stored := i.gauge("dms.project.stored", "By", "Bytes the project stores.")
	quota := i.gauge("dms.project.quota", "By", "Bytes the project may store.")
	queues := i.gauge("dms.project.queues", "", "Queues of the project.")
	maxQueues := i.gauge("dms.project.queues.limit", "", "Queues the project may have.")
	firing := i.gauge("dms.alarm.firing", "", "Queues and groups for which an alarm of the project fires.")
	watching := i.gauge("dms.monitor.watching", "", "1 on the node that samples and evaluates, 0 on the others.")
	missing := i.gauge("dms.monitor.nodes.missing", "", "Nodes that did not answer when the latest sample was taken.")
	took := i.seconds("dms.monitor.pass.duration", "How long the latest sample took.")
	at := i.seconds("dms.monitor.pass.timestamp", "When the latest sample was taken, in seconds since 1970.")
	lost := i.total("dms.monitor.passes.lost", "", "Samples that could not be taken or kept whole.")
	notices := i.total("dms.alarm.notifications", "", "Attempts to notify, by result.")
	result := func(s string) metric.MeasurementOption { return metric.WithAttributes(attribute.String("result", s)) }
	return i.register(func(_ context.Context, o metric.Observer) error {
		arrived, failed, given := w.Deliveries()
		o.ObserveInt64(notices, arrived, result("delivered"))
		o.ObserveInt64(notices, failed, result("failed"))
		o.ObserveInt64(notices, given, result("given_up"))
		o.ObserveInt64(lost, w.LostPasses())
		latest := w.Latest()
		if latest == nil {
			o.ObserveInt64(watching, 0)
			return nil
		}
		o.ObserveInt64(watching, 1)
		o.ObserveInt64(missing, int64(latest.Missing))
		o.ObserveFloat64(took, latest.Took.Seconds())
		o.ObserveFloat64(at, float64(latest.At.UnixMilli())/1000)
		for _, p := range latest.Projects {
			if p.Err != nil {
				continue
			}
			attrs := metric.WithAttributes(attribute.String("project", string(p.ID)))
			o.ObserveInt64(stored, p.Used, attrs)
			o.ObserveInt64(quota, p.Limits.StoredBytes, attrs)
			o.ObserveInt64(queues, int64(len(p.Queues)), attrs)
			o.ObserveInt64(maxQueues, int64(p.Limits.Queues), attrs)
		}
		for _, f := range latest.Firing {
			o.ObserveInt64(firing, int64(f.Targets), metric.WithAttributes(attribute.String("project", f.Project), attribute.String("severity", f.Severity)))
		}
		for _, level := range []sample.Level{sample.Queue, sample.Group} {
			rows, left := largest(latest.Frames, level, t.series)
			o.ObserveInt64(dropped, int64(left), metric.WithAttributes(attribute.String("level", string(level))))
			for _, r := range rows {
				attrs := metric.WithAttributeSet(r.attributes())
				for place, instrument := range figures[level] {
					if v, ok := r.Value(place); ok {
						o.ObserveInt64(instrument, v, attrs)
					}
				}
			}
		}
		return nil
	})
}

// placed is a row of a project.
type placed struct {
	sample.Row
	project string
}

func (p placed) attributes() attribute.Set {
	attrs := []attribute.KeyValue{
		attribute.String("project", p.project), attribute.String("queue_id", string(p.Queue)), attribute.String("queue", p.QueueName),
	}
	if p.Group != "" {
		attrs = append(attrs, attribute.String("group_id", string(p.Group)), attribute.String("group", p.GroupName))
	}
	return attribute.NewSet(attrs...)
}

// largest returns the rows of a level with the most messages, and how many there are
// beyond the limit.
func largest(frames []sample.Frame, level sample.Level, limit int) (rows []placed, left int) {
	for _, f := range frames {
		for _, r := range f.Rows {
			if r.Level() == level {
				rows = append(rows, placed{r, string(f.Project)})
			}
		}
	}
	// The SDK puts what reaches its own limit together, the last one included.
	if limit = max(limit-1, 1); len(rows) <= limit {
		return rows, 0
	}
	slices.SortFunc(rows, func(a, b placed) int {
		x, _ := a.Value(0) // the number of messages of either level
		y, _ := b.Value(0)
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Group, b.Group))
	})
	return rows[:limit], len(rows) - limit
}
