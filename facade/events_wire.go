package facade

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"dms/facade/live"
	"dms/mapping/dms"
	"dms/tenancy"
)

// Events are named for what they are about.
const (
	topicQueues = "queues"
	topicGroups = "groups"
	topicAlarms = "alarms"
	topicJobs   = "jobs"
	topicStatus = "status"
)

const (
	// lookEvery is the pace of the events: what happens is told a second later at most,
	// and not more often.
	lookEvery  = time.Second
	lookLinger = 15 * time.Second
	lookWithin = 5 * time.Second
	// What is stored is read one by one, so that it is looked at after a second more for so
	// many things, and after two at least.
	storedOfTurn = 10
)

// queueEvent is a queue's figures.
type queueEvent struct {
	ID       dms.QueueID `json:"id"`
	Name     string      `json:"name"`
	Mode     dms.Mode    `json:"queue_mode"`
	Messages int64       `json:"messages"`
	Bytes    int64       `json:"bytes"`
	Produced uint64      `json:"produced_messages"`
}

// groupEvent is a group's figures, named like the metrics.
type groupEvent struct {
	ID        dms.GroupID `json:"id"`
	Queue     dms.QueueID `json:"queue_id"`
	Name      string      `json:"name"`
	Available int64       `json:"available_messages"`
	InFlight  int64       `json:"in_flight_messages"`
	Dead      int64       `json:"dead_letters"`
	Waiting   int64       `json:"waiting_consumers"`
	Oldest    *timestamp  `json:"oldest_message_at"`
}

// statusEvent says whether what a topic tells is current.
type statusEvent struct {
	ID    string `json:"id"`    // of the topic
	State string `json:"state"` // current or stale
}

// updateEvent is the data of an event.
type updateEvent struct {
	Full    bool              `json:"full"` // changed is all there is
	Changed []json.RawMessage `json:"changed"`
	Removed []string          `json:"removed"` // ids
}

func encodeUpdate(u live.Update) []byte {
	e := updateEvent{Full: u.Full, Changed: make([]json.RawMessage, len(u.Changed)), Removed: make([]string, len(u.Removed))}
	for i, item := range u.Changed {
		e.Changed[i] = item.Data
	}
	for i, item := range u.Removed {
		e.Removed[i] = item.ID
	}
	return mustJSON(e)
}

// mustJSON encodes what is of our own types, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("{}")
	}
	return b
}

// look looks at a project for all who follow its events.
func (a *API) look(subject string) func(context.Context) live.Seen {
	turn := 0 // until what is stored is looked at
	return func(ctx context.Context) live.Seen {
		l := a.lookOnce(ctx, tenancy.ProjectID(subject), turn <= 0)
		if turn--; turn < 0 {
			stored := len(l.seen.Topics[topicAlarms]) + len(l.seen.Topics[topicJobs])
			turn = max(2, stored/storedOfTurn) - 1
		}
		return l.seen
	}
}

// lookOnce looks at figures, and at what is stored only if that is wanted.
func (a *API) lookOnce(ctx context.Context, project tenancy.ProjectID, stored bool) *looking {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	l := &looking{seen: live.Seen{Topics: make(map[string][]live.Item)}, unsure: make(map[dms.QueueID]bool)}
	l.seen.Unsure = func(topic string, i live.Item) bool {
		return topic == topicStatus || l.unsure[dms.QueueID(i.Owner)]
	}
	queues, figuresErr := a.o.Figures.Figures(ctx, project)
	if l.took(figuresErr, topicQueues, topicGroups) {
		l.queues(queues)
		l.seen.Partial = map[string]bool{topicQueues: l.unknown, topicGroups: len(l.unsure) > 0}
	}
	errs := []error{figuresErr}
	if stored {
		if a.o.Alarms != nil {
			rules, states, err := a.o.Alarms.Alarms(ctx, project)
			errs = append(errs, err)
			if l.took(err, topicAlarms) {
				for i, rule := range rules {
					l.add(topicAlarms, string(rule.ID), "", a.alarmItem(rule, states[i]))
				}
			}
		}
		jobs, err := a.o.Workbench.Jobs(ctx, dms.QueueRef{Project: project})
		errs = append(errs, err)
		if l.took(err, topicJobs) {
			for _, j := range jobs {
				l.add(topicJobs, string(j.ID), "", newJobItem(j))
			}
		}
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		a.o.Log.LogAttrs(ctx, slog.LevelDebug, "events of a project are incomplete", slog.String("project", string(project)), slog.Any("err", err))
	}
	return l
}

// looking gathers what one look finds.
type looking struct {
	seen    live.Seen
	unsure  map[dms.QueueID]bool // whose groups are not all known
	unknown bool                 // of some queues nothing is known
}

// took notes whether the topics could be looked at.
func (l *looking) took(err error, topics ...string) bool {
	state := "current"
	if err != nil {
		state = "stale"
	}
	for _, t := range topics {
		l.add(topicStatus, t, "", statusEvent{t, state})
		if err == nil {
			l.seen.Topics[t] = nil // there may be nothing
		}
	}
	return err == nil
}

func (l *looking) add(topic, id, owner string, v any) {
	l.seen.Topics[topic] = append(l.seen.Topics[topic], live.Item{ID: id, Owner: owner, Data: mustJSON(v)})
}

func (l *looking) queues(queues []dms.QueueFigures) {
	for _, q := range queues {
		id := q.Ref.Queue
		if q.Unknown || !q.Complete {
			l.unsure[id] = true
		}
		if q.Unknown {
			l.unknown = true
			continue
		}
		l.add(topicQueues, string(id), string(id), queueEvent{id, q.Name, q.Mode, q.Messages, q.Bytes, q.Last})
		for _, g := range q.Groups {
			l.add(topicGroups, string(g.ID), string(id), groupEvent{
				g.ID, id, g.Name, g.Available, g.Outstanding, g.DeadWaiting, g.Waiting, orNil(g.Oldest),
			})
		}
	}
}
