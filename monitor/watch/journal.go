package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/webhook"
	"dms/tenancy"
)

// Happening is one entry of an alarm's history: a change, or an attempt to tell of one.
type Happening struct {
	At       time.Time     `json:"at"`
	Change   *alarm.Change `json:"change,omitempty"`
	Delivery *Delivery     `json:"delivery,omitempty"`
}

// Delivery is one attempt to tell somebody.
type Delivery struct {
	Notice  string `json:"notice"` // its id
	Webhook string `json:"webhook"`
	Attempt int    `json:"attempt"`
	Error   string `json:"error,omitempty"` // "" is success
	GivenUp bool   `json:"given_up,omitempty"`
}

// mostHappenings bounds what History returns.
const mostHappenings = 500

// History returns what happened to the alarm, newest first.
func (r *Rules) History(ctx context.Context, project tenancy.ProjectID, id alarm.ID) ([]Happening, error) {
	if _, _, err := r.get(ctx, project, id); err != nil {
		return nil, err
	}
	var all []Happening
	err := r.journal.Read(ctx, journalKey(project, id), time.Time{}, func(_ time.Time, value []byte) error {
		var h Happening
		if err := json.Unmarshal(value, &h); err != nil {
			return err
		}
		all = append(all, h)
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	slices.Reverse(all)
	return all[:min(len(all), mostHappenings)], nil
}

// TestAlarm sends a test notification to every webhook of the alarm, once and at once,
// and returns what came of each.
func (r *Rules) TestAlarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID) ([]Delivery, error) {
	rule, _, err := r.get(ctx, project, id)
	if err != nil {
		return nil, err
	}
	notice := "test." + token()
	all := make([]Delivery, len(rule.Webhooks))
	for i, w := range rule.Webhooks {
		all[i] = Delivery{Notice: notice, Webhook: w.URL, Attempt: 1}
		secret, err := r.sealer.open(project, id, w.Secret)
		if err != nil {
			return nil, dms.Wrap(dms.Internal, err)
		}
		err = r.sender.Send(ctx, webhook.Message{
			ID: notice, URL: w.URL, Secret: secret, Body: event(project, rule, notice, "test", alarm.Target{}, r.now()),
		})
		if err != nil {
			all[i].Error = err.Error()
		}
		h := Happening{At: r.now().UTC(), Delivery: &all[i]}
		if err := r.journal.Append(ctx, journalKey(project, id), fmt.Sprintf("%s.%d", notice, i), mustJSON(h)); err != nil {
			return nil, unavailable(err)
		}
	}
	return all, nil
}

// event is a notification in the JSON format of CloudEvents 1.0.
func event(project tenancy.ProjectID, r alarm.Rule, id, kind string, t alarm.Target, at time.Time) []byte {
	type data struct {
		AlarmID    alarm.ID         `json:"alarm_id"`
		Name       string           `json:"name"`
		Severity   alarm.Severity   `json:"severity"`
		Status     string           `json:"status"`
		Metric     string           `json:"metric"`
		Comparison alarm.Comparison `json:"comparison"`
		Threshold  float64          `json:"threshold"`
		Value      *float64         `json:"value"`
		QueueID    dms.QueueID      `json:"queue_id,omitempty"`
		QueueName  string           `json:"queue_name,omitempty"`
		GroupID    dms.GroupID      `json:"group_id,omitempty"`
		GroupName  string           `json:"group_name,omitempty"`
	}
	subject := ""
	if t.Queue != "" {
		subject = "queues/" + string(t.Queue)
	}
	if t.Group != "" {
		subject += "/groups/" + string(t.Group)
	}
	return mustJSON(struct {
		SpecVersion string    `json:"specversion"`
		ID          string    `json:"id"`
		Source      string    `json:"source"`
		Type        string    `json:"type"`
		Subject     string    `json:"subject,omitempty"`
		Time        time.Time `json:"time"`
		ContentType string    `json:"datacontenttype"`
		Data        data      `json:"data"`
	}{
		"1.0", id, "/v2/" + string(project) + "/alarms/" + string(r.ID), "dms.alarm." + kind, subject, at.UTC(), "application/json",
		data{r.ID, r.Name, r.Severity, kind, r.Metric, r.Comparison, r.Threshold, t.Value, t.Queue, t.QueueName, t.Group, t.GroupName},
	})
}
