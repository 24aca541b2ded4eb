package alarm

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dms/monitor/sample"
	"dms/tenancy"
)

// Status is the state of an alarm for one queue or group.
type Status string

const (
	OK      Status = "ok"
	Pending Status = "pending" // bad, but not for long enough
	Firing  Status = "firing"
)

// Target is one queue or group that a rule applies to, and what came of it.
type Target struct {
	sample.Key
	QueueName string    `json:"queue_name,omitempty"`
	GroupName string    `json:"group_name,omitempty"`
	Status    Status    `json:"status"`
	Since     time.Time `json:"since"` // when it came into the status
	// Bad and Good are since when, without interruption, the figure is bad, or good while
	// firing. Time for which nothing is known does not count.
	Bad  time.Time `json:"bad,omitzero"`
	Good time.Time `json:"good,omitzero"`
	// NoData is since when nothing is known; it changes no status.
	NoData time.Time `json:"no_data,omitzero"`
	Value  *float64  `json:"value,omitempty"` // when the status changed
	// Told is the status that was last put on its way to somebody, and Turn counts how
	// often that was: together they identify a notification.
	Told Status `json:"told,omitempty"`
	Turn uint64 `json:"turn,omitempty"`
}

// id is the key of a target within a state.
func id(k sample.Key) string { return string(k.Queue) + "/" + string(k.Group) }

// step returns the target after a figure was seen at a time; nil is no figure.
func (t Target) step(r Rule, v *float64, at time.Time) Target {
	if v == nil {
		if t.NoData.IsZero() {
			t.NoData = at
		}
		return t
	}
	if !t.NoData.IsZero() {
		silent := at.Sub(t.NoData)
		t.NoData = time.Time{}
		if !t.Bad.IsZero() {
			t.Bad = t.Bad.Add(silent)
		}
		if !t.Good.IsZero() {
			t.Good = t.Good.Add(silent)
		}
	}
	turn := func(s Status) {
		t.Status, t.Since, t.Value = s, at, v
	}
	switch {
	case r.bad(*v):
		t.Good = time.Time{}
		if t.Bad.IsZero() {
			t.Bad = at
		}
		if t.Status == OK {
			turn(Pending)
		}
		if t.Status == Pending && at.Sub(t.Bad) >= r.For {
			turn(Firing)
		}
	case t.Status != Firing:
		t.Bad = time.Time{}
		if t.Status == Pending {
			turn(OK)
		}
	case r.good(*v):
		t.Bad = time.Time{}
		if t.Good.IsZero() {
			t.Good = at
		}
		if at.Sub(t.Good) >= r.ResolveFor {
			t.Good = time.Time{}
			turn(OK)
		}
	default:
		t.Bad, t.Good = time.Time{}, time.Time{}
	}
	return t
}

// State is what is remembered of an alarm between evaluations. It is one record, changed
// by compare-and-set, so that two evaluators cannot both have their way.
type State struct {
	Targets map[string]Target `json:"targets,omitempty"`
	Outbox  []Notice          `json:"outbox,omitempty"` // not known to be delivered, oldest first
}

// MaxTargets bounds the targets of one rule that are remembered in a state other than OK.
const MaxTargets = 1000

// Change is one turn of a target, for the alarm's history.
type Change struct {
	At        time.Time `json:"at"`
	QueueName string    `json:"queue_name,omitempty"`
	GroupName string    `json:"group_name,omitempty"`
	sample.Key
	From   Status   `json:"from"`
	To     Status   `json:"to"`
	Value  *float64 `json:"value,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// Evaluate returns the state after a sample, and what changed. It does not change s.
// Targets that are fine are not remembered, so that an alarm over many queues stays
// small.
func (s State) Evaluate(r Rule, f sample.Frame) (State, []Change) {
	next := State{Targets: maps.Clone(s.Targets), Outbox: slices.Clone(s.Outbox)}
	if next.Targets == nil {
		next.Targets = make(map[string]Target)
	}
	_, place, known := sample.Find(r.Metric)
	if r.Disabled || !known {
		return next.retire(f.At, "the alarm is disabled", func(Target) bool { return true })
	}
	var changes []Change
	seen := make(map[string]bool)
	for _, row := range f.Rows {
		if !r.Selects(row.Key) {
			continue
		}
		at := id(row.Key)
		seen[at] = true
		before, ok := next.Targets[at]
		if !ok {
			if len(next.Targets) >= MaxTargets {
				continue
			}
			before = Target{Key: row.Key, Status: OK, Since: f.At}
		}
		before.QueueName, before.GroupName = row.QueueName, row.GroupName
		var v *float64
		if n, ok := row.Value(place); ok {
			value := float64(n)
			v = &value
		}
		after := before.step(r, v, f.At)
		if after.Status != before.Status {
			changes = append(changes, changed(before, after, ""))
		}
		if after.Status == OK && after.settled() {
			delete(next.Targets, at)
		} else {
			next.Targets[at] = after
		}
	}
	for at, t := range next.Targets {
		if !seen[at] && f.Partial[t.Queue] {
			next.Targets[at] = t.step(r, nil, f.At)
			seen[at] = true
		}
	}
	next, gone := next.retire(f.At, "it does not exist any more", func(t Target) bool { return !seen[id(t.Key)] })
	return next, append(changes, gone...)
}

// settled reports whether there is nothing to remember of a target that is fine.
func (t Target) settled() bool { return t.Told != Firing }

// retire ends targets that are not judged any more.
func (s State) retire(at time.Time, reason string, which func(Target) bool) (State, []Change) {
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(s.Targets)) {
		t := s.Targets[key]
		if !which(t) {
			continue
		}
		after := t
		after.Status, after.Bad, after.Good, after.NoData = OK, time.Time{}, time.Time{}, time.Time{}
		if t.Status != OK {
			after.Since, after.Value = at, nil
			changes = append(changes, changed(t, after, reason))
		}
		if after.settled() {
			delete(s.Targets, key)
		} else {
			s.Targets[key] = after
		}
	}
	return s, changes
}

func changed(before, after Target, reason string) Change {
	return Change{
		At: after.Since, Key: after.Key, QueueName: after.QueueName, GroupName: after.GroupName,
		From: before.Status, To: after.Status, Value: after.Value, Reason: reason,
	}
}

// Firing returns the targets that fire.
func (s State) Firing() []Target {
	var all []Target
	for _, key := range slices.Sorted(maps.Keys(s.Targets)) {
		if t := s.Targets[key]; t.Status == Firing {
			all = append(all, t)
		}
	}
	return all
}

// Notify puts on its way what somebody should know and has not been told: that an alarm
// fires, or that one they were told of does not any more. While the rule is muted nobody
// is told, and afterwards only what still holds.
func (s State) Notify(project tenancy.ProjectID, r Rule, now time.Time) State {
	if r.Muted(now) {
		return s
	}
	s.Targets, s.Outbox = maps.Clone(s.Targets), slices.Clone(s.Outbox)
	for _, key := range slices.Sorted(maps.Keys(s.Targets)) {
		t := s.Targets[key]
		switch {
		case t.Status == Firing && t.Told != Firing:
		case t.Status == OK && t.Told == Firing:
		default:
			continue
		}
		t.Told = t.Status
		t.Turn++
		for i := range r.Webhooks {
			s.Outbox = append(s.Outbox, Notice{
				ID:      fmt.Sprintf("%s.%s.%s.%s.%d.%d", project, r.ID, t.Queue, t.Group, t.Since.UnixMilli(), t.Turn),
				Webhook: r.Webhooks[i].URL, Target: t, At: t.Since, Next: now,
			})
		}
		if t.Status == OK {
			delete(s.Targets, key)
		} else {
			s.Targets[key] = t
		}
	}
	if n := len(s.Outbox) - maxOutbox; n > 0 {
		s.Outbox = s.Outbox[n:]
	}
	return s
}

// maxOutbox bounds what waits for one alarm's webhooks.
const maxOutbox = 200

// Notice is one notification on its way to one webhook.
type Notice struct {
	// ID is the same however often, and by whichever node, the notification is sent.
	ID       string    `json:"id"`
	Webhook  string    `json:"webhook"`
	Target   Target    `json:"target"`
	At       time.Time `json:"at"` // of the change it tells
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next"` // not before
}

// Firing reports whether it tells that the alarm fires; otherwise it resolved.
func (n Notice) Firing() bool { return n.Target.Status == Firing }

// Attempts to deliver one notice: after that it is given up.
const maxAttempts = 12

// backOff is how long to wait after so many failed attempts: one second, doubling, up to
// ten minutes; about half an hour in all.
func backOff(attempts int) time.Duration {
	return min(time.Second<<min(attempts-1, 20), 10*time.Minute)
}

// Due returns the notices that may be sent at the time: of each webhook the oldest, so
// that nobody hears of the end before the beginning.
func (s State) Due(now time.Time) []Notice {
	var due []Notice
	first := make(map[string]bool)
	for _, n := range s.Outbox {
		if first[n.Webhook] {
			continue
		}
		first[n.Webhook] = true
		if !now.Before(n.Next) {
			due = append(due, n)
		}
	}
	return due
}

// Sent returns the state after an attempt to deliver the notice. It reports whether the
// notice was given up.
func (s State) Sent(n Notice, err error, now time.Time) (next State, givenUp bool) {
	next = s
	next.Outbox = slices.Clone(s.Outbox)
	i := slices.IndexFunc(next.Outbox, func(o Notice) bool { return o.ID == n.ID && o.Webhook == n.Webhook })
	if i < 0 {
		return next, false
	}
	o := &next.Outbox[i]
	o.Attempts++
	if err != nil && o.Attempts < maxAttempts {
		o.Next = now.Add(backOff(o.Attempts))
		return next, false
	}
	next.Outbox = slices.Delete(next.Outbox, i, i+1)
	return next, err != nil
}
