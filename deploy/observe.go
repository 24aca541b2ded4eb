package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"dms/facade"
	"dms/mapping"
	"dms/mapping/control"
	"dms/monitor"
	"dms/monitor/history"
	"dms/monitor/sample"
	"dms/monitor/watch"
	"dms/monitor/webhook"
)

// MonitoringOptions say how queues are watched.
type MonitoringOptions struct {
	SampleEvery time.Duration `yaml:"sample_every"` // 200ms to 10m; alarms are evaluated as often
	LeaseEvery  time.Duration `yaml:"lease_every"`  // renewals of the lease of the node that watches, 100ms to 1m
	// HistoryLimit bounds the samples that are kept; 0 means a fiftieth of the disk limit,
	// at most 1 GiB.
	HistoryLimit     Bytes `yaml:"history_limit"`
	SeriesLimit      int   `yaml:"series_limit"` // of one metric, at each node; 100 to 1000000
	AlarmsPerProject int   `yaml:"alarms_per_project"`
	// WebhookAllow are addresses, beside public ones on port 443, that notifications of
	// alarms may go to: "10.1.2.3:8443", "10.0.0.0/8", with http:// in front to allow plain
	// HTTP.
	WebhookAllow    []string `yaml:"webhook_allow"`
	AlertmanagerURL string   `yaml:"alertmanager_url"` // told of all alarms of all projects; empty is nobody
}

func defaultMonitoring() MonitoringOptions {
	return MonitoringOptions{
		SampleEvery: 10 * time.Second, LeaseEvery: 3 * time.Second,
		SeriesLimit: monitor.DefaultSeries, AlarmsPerProject: 100,
	}
}

func (o MonitoringOptions) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("monitoring."+format, args...)) }
	if o.SampleEvery < 200*time.Millisecond || o.SampleEvery > 10*time.Minute {
		bad("sample_every: %s, want 200ms to 10m", o.SampleEvery)
	}
	if o.LeaseEvery < 100*time.Millisecond || o.LeaseEvery > time.Minute {
		bad("lease_every: %s, want 100ms to 1m", o.LeaseEvery)
	}
	if o.HistoryLimit != 0 && o.HistoryLimit < leastHistory {
		bad("history_limit: %d, want at least %d", o.HistoryLimit, leastHistory)
	}
	if o.SeriesLimit < 100 || o.SeriesLimit > 1_000_000 {
		bad("series_limit: %d, want 100 to 1000000", o.SeriesLimit)
	}
	if o.AlarmsPerProject < 1 || o.AlarmsPerProject > 1000 {
		bad("alarms_per_project: %d, want 1 to 1000", o.AlarmsPerProject)
	}
	for i, s := range o.WebhookAllow {
		if _, err := webhook.ParseAllowed(s); err != nil {
			bad("webhook_allow[%d]: %w", i, err)
		}
	}
	if s := o.AlertmanagerURL; s != "" {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			bad("alertmanager_url: %q is not a URL without credentials", s)
		}
	}
	return errors.Join(errs...)
}

const (
	leastHistory = 16 << 20
	mostHistory  = 1 << 30
	// figuresWithin is how long the node that watches waits for the others.
	figuresWithin = 2 * time.Second
	figuresTopic  = "figures"
)

// historyBytes is what samples may take, where one member stores total bytes.
func (o MonitoringOptions) historyBytes(total int64) int64 {
	if o.HistoryLimit > 0 {
		return int64(o.HistoryLimit)
	}
	return min(max(total/50, leastHistory), mostHistory)
}

// watching is the node's part in watching the queues.
type watching struct {
	*watch.Watch
	history *history.History
}

// startWatch lets this node answer for what it stores, and watch when its turn comes.
func (n *Node) startWatch(ctx context.Context, projects *tenants, broker *mapping.Broker, traffic *sample.Traffic) (*watching, error) {
	store := projects.control
	logs, err := hold(ctx, n.log, "open the logs of the monitoring", func(ctx context.Context) (logs, error) {
		return n.openLogs(ctx, store)
	})
	if err != nil {
		return nil, err
	}
	answers := &answers{members: n.storage.Members, traffic: traffic, run: n.config.Node + "." + newRun()}
	stop, err := store.Serve(figuresTopic, n.config.Node, answers.parts, func(err error) {
		n.log.Warn("this node could not tell what it stores", "err", err)
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("figures", func(context.Context) error { stop(); return nil })
	keys, err := n.keys.Sealing("alarm webhook")
	if err != nil {
		return nil, err
	}
	sender, err := n.newSender()
	if err != nil {
		return nil, err
	}
	o := n.config.Monitoring
	var manager *watch.Alertmanager
	if o.AlertmanagerURL != "" {
		if manager, err = watch.NewAlertmanager(o.AlertmanagerURL, o.SampleEvery); err != nil {
			return nil, err
		}
	}
	h := history.New(logs.fine, logs.coarse)
	w, err := watch.New(watch.Options{
		Node: n.config.Node, Records: records{store}, Journal: logs.alarms, History: h, Sender: sender, Keys: keys, Alertmanager: manager,
		Collector:   &collector{store: store, broker: broker, registry: projects.registry, nodes: n.apiNodes},
		SampleEvery: o.SampleEvery, LeaseEvery: o.LeaseEvery, MostAlarms: o.AlarmsPerProject, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.stops.add("watch", w.Close)
	if err := n.monitor.Watch(w); err != nil {
		return nil, err
	}
	if err := n.startProbes(store); err != nil {
		return nil, err
	}
	return &watching{w, h}, nil
}

func (n *Node) newSender() (*webhook.Sender, error) {
	var o webhook.Options
	for _, s := range n.config.Monitoring.WebhookAllow {
		a, err := webhook.ParseAllowed(s)
		if err != nil {
			return nil, fmt.Errorf("monitoring.webhook_allow: %w", err)
		}
		o.Allowed = append(o.Allowed, a)
	}
	return webhook.New(o), nil
}

// logs of the watching.
type logs struct{ fine, coarse, alarms journal }

func (n *Node) openLogs(ctx context.Context, store *control.Store) (l logs, err error) {
	total, err := n.maxStore(ctx)
	if err != nil {
		return l, err
	}
	bytes := n.config.Monitoring.historyBytes(total)
	for _, one := range []struct {
		to *journal
		o  control.LogOptions
	}{
		{&l.fine, control.LogOptions{Name: "fine", MaxAge: history.FineFor, Bytes: bytes / 2}},
		{&l.coarse, control.LogOptions{Name: "coarse", MaxAge: history.CoarseFor, Bytes: bytes * 3 / 8}},
		{&l.alarms, control.LogOptions{Name: "alarms", MaxAge: 30 * 24 * time.Hour, Bytes: bytes / 8, PerKey: 500}},
	} {
		log, err := store.Log(ctx, one.o)
		if err != nil {
			return l, err
		}
		*one.to = journal{log}
	}
	return l, nil
}

// observe measures the requests of the API.
func observe(requests *monitor.Requests, tls bool) func(context.Context, facade.Observation) {
	return func(ctx context.Context, o facade.Observation) {
		r := monitor.Request{
			Method: o.Method, Route: o.Route, TLS: tls, Status: o.Status, Code: o.Code, Duration: o.Duration,
		}
		requests.Record(ctx, r)
		r.End(ctx)
	}
}
