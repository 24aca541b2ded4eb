package facade

import (
	"maps"
	"slices"
	"time"

	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/watch"
)

type alarmList struct {
	Total  count       `json:"total"`
	Alarms []alarmItem `json:"alarms"`
}

type alarmItem struct {
	ID               alarm.ID         `json:"id"`
	Name             string           `json:"name"`
	Description      string           `json:"description"`
	Metric           string           `json:"metric"`
	Comparison       alarm.Comparison `json:"comparison"`
	Threshold        float64          `json:"threshold"`
	For              float64          `json:"for_seconds"`
	ResolveThreshold *float64         `json:"resolve_threshold"`
	ResolveFor       float64          `json:"resolve_for_seconds"`
	QueueID          *dms.QueueID     `json:"queue_id"`
	GroupID          *dms.GroupID     `json:"group_id"`
	Severity         alarm.Severity   `json:"severity"`
	Enabled          bool             `json:"enabled"`
	Webhooks         []webhookItem    `json:"webhooks"`
	MutedUntil       *moment          `json:"muted_until"`
	Created          moment           `json:"created"`
	Changed          moment           `json:"changed"`
	// Status is the worst of the targets', "muted" while nobody is told of one that fires.
	Status  string       `json:"status"`
	Targets []targetItem `json:"targets"` // those that are not ok
	Waiting int          `json:"notifications_waiting"`
}

// webhookItem never shows the secret.
type webhookItem struct {
	URL string `json:"url"`
}

type targetItem struct {
	QueueID   dms.QueueID  `json:"queue_id"`
	QueueName string       `json:"queue_name"`
	GroupID   dms.GroupID  `json:"group_id,omitempty"`
	GroupName string       `json:"group_name,omitempty"`
	Status    alarm.Status `json:"status"`
	Since     moment       `json:"since"`
	NoData    *moment      `json:"no_data_since"`
	Value     *float64     `json:"value"`
}

// moment is a time in milliseconds since 1970.
type moment int64

func at(t time.Time) moment { return moment(t.UnixMilli()) }

// known is a time that may be missing.
func known(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := at(t)
	return &m
}

func (a *API) alarmItem(r alarm.Rule, s alarm.State) alarmItem {
	item := alarmItem{
		ID: r.ID, Name: r.Name, Description: r.Description, Metric: r.Metric, Comparison: r.Comparison, Threshold: r.Threshold,
		For: r.For.Seconds(), ResolveThreshold: r.Resolve, ResolveFor: r.ResolveFor.Seconds(), Severity: r.Severity, Enabled: !r.Disabled,
		Created: at(r.Created), Changed: at(r.Changed), Webhooks: make([]webhookItem, len(r.Webhooks)),
		Targets: []targetItem{}, Status: string(alarm.OK), Waiting: len(s.Outbox),
	}
	if r.Queue != "" {
		item.QueueID = &r.Queue
	}
	if r.Group != "" {
		item.GroupID = &r.Group
	}
	for i, w := range r.Webhooks {
		item.Webhooks[i].URL = w.URL
	}
	muted := r.Muted(a.o.Now())
	if muted {
		item.MutedUntil = known(r.MutedUntil)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Targets)) {
		t := s.Targets[key]
		if t.Status == alarm.OK {
			continue
		}
		item.Targets = append(item.Targets, targetItem{
			t.Queue, t.QueueName, t.Group, t.GroupName, t.Status, at(t.Since), known(t.NoData), t.Value,
		})
		if item.Status != string(alarm.Firing) {
			item.Status = string(t.Status)
		}
	}
	switch {
	case r.Disabled:
		item.Status = "disabled"
	case muted && item.Status == string(alarm.Firing):
		item.Status = "muted"
	}
	return item
}

type deliveryList struct {
	Deliveries []deliveryItem `json:"deliveries"`
}

type deliveryItem struct {
	ID      string `json:"notification_id"`
	URL     string `json:"url"`
	Attempt int    `json:"attempt"`
	Success bool   `json:"success"`
	Error   string `json:"error"`
	GivenUp bool   `json:"given_up"`
}

func newDeliveryItem(d watch.Delivery) deliveryItem {
	return deliveryItem{d.Notice, d.Webhook, d.Attempt, d.Error == "", d.Error, d.GivenUp}
}

type historyList struct {
	History []historyItem `json:"history"`
}

// historyItem is a change of a target, or an attempt to tell of one.
type historyItem struct {
	At       moment        `json:"at"`
	Change   *changeItem   `json:"change"`
	Delivery *deliveryItem `json:"delivery"`
}

type changeItem struct {
	QueueID   dms.QueueID  `json:"queue_id"`
	QueueName string       `json:"queue_name"`
	GroupID   dms.GroupID  `json:"group_id,omitempty"`
	GroupName string       `json:"group_name,omitempty"`
	From      alarm.Status `json:"from"`
	To        alarm.Status `json:"to"`
	Value     *float64     `json:"value"`
	Reason    string       `json:"reason"`
}

func newHistoryItem(h watch.Happening) historyItem {
	item := historyItem{At: at(h.At)}
	if c := h.Change; c != nil {
		item.Change = &changeItem{c.Queue, c.QueueName, c.Group, c.GroupName, c.From, c.To, c.Value, c.Reason}
	}
	if h.Delivery != nil {
		d := newDeliveryItem(*h.Delivery)
		item.Delivery = &d
	}
	return item
}
