package watch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dms/monitor/alarm"
)

// Alertmanager is told of every alarm that fires, again and again, as it expects of those
// who evaluate; one that it does not hear of for a while it takes for resolved.
type Alertmanager struct {
	client *http.Client
	url    string
	keep   time.Duration
	told   map[string]alert // by project, alarm and target; guarded by who watches
}

// alert is one element of what POST /api/v2/alerts takes.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

const alertmanagerTimeout = 5 * time.Second

// NewAlertmanager returns a client of the Alertmanager with the base URL, which is told
// every so often.
func NewAlertmanager(base string, every time.Duration) (*Alertmanager, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of an Alertmanager", base)
	}
	return &Alertmanager{
		client: &http.Client{Timeout: alertmanagerTimeout},
		url:    strings.TrimRight(base, "/") + "/api/v2/alerts",
		keep:   max(6*every, time.Minute),
		told:   make(map[string]alert),
	}, nil
}

// post tells of what fires now, and of what fired before and does not any more.
func (m *Alertmanager) post(ctx context.Context, alarms map[string]*watched, now time.Time) error {
	firing := make(map[string]alert)
	for key, a := range alarms {
		if a.rule.Muted(now) {
			continue
		}
		for _, t := range a.state.Firing() {
			firing[key+"/"+string(t.Queue)+"/"+string(t.Group)] = newAlert(a, t, now.Add(m.keep))
		}
	}
	all := make([]alert, 0, len(firing))
	for _, a := range firing {
		all = append(all, a)
	}
	for key, a := range m.told {
		if _, still := firing[key]; !still {
			a.EndsAt = now
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(mustJSON(all)))
	if err != nil {
		return fmt.Errorf("tell the Alertmanager: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := m.client.Do(req)
	if err != nil {
		return fmt.Errorf("tell the Alertmanager: %w", err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // for the error only
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("tell the Alertmanager: status %d: %s", res.StatusCode, said)
	}
	m.told = firing
	return nil
}

func newAlert(a *watched, t alarm.Target, until time.Time) alert {
	labels := map[string]string{
		"alertname": a.rule.Name, "severity": string(a.rule.Severity), "project": string(a.project), "alarm_id": string(a.rule.ID),
		"metric": a.rule.Metric, "queue": t.QueueName, "queue_id": string(t.Queue),
	}
	if t.Group != "" {
		labels["group"], labels["group_id"] = t.GroupName, string(t.Group)
	}
	summary := a.rule.Description
	if summary == "" {
		summary = fmt.Sprintf("%s %s %g", a.rule.Metric, a.rule.Comparison, a.rule.Threshold)
	}
	return alert{Labels: labels, Annotations: map[string]string{"summary": summary}, StartsAt: t.Since, EndsAt: until}
}
