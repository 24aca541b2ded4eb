package sample

import (
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
)

// Window is over what time rates are computed.
const Window = time.Minute

// Tracker follows one project from sample to sample. It is not safe for concurrent use.
type Tracker struct {
	project tenancy.ProjectID
	tracks  map[Key]*track
}

// track is what is remembered of one queue or group.
type track struct {
	totals Counts
	// of a group
	settled, skipped, deadEver int64
	seen                       bool
	before                     dms.GroupFigures
	first, last                uint64 // of the queue, at the sample before
	points                     []point
}

// point is a moment within the window.
type point struct {
	at        time.Time
	totals    Counts
	available int64
	produced  uint64
}

// NewTracker follows a project of which nothing is known yet.
func NewTracker(project tenancy.ProjectID) *Tracker {
	return &Tracker{project: project, tracks: make(map[Key]*track)}
}

// Resume takes up the totals of an earlier sample, perhaps another node's.
func (t *Tracker) Resume(f Frame) {
	total := func(r Row, place int) int64 {
		v, _ := r.Value(place)
		return v
	}
	for _, r := range f.Rows {
		k := t.track(r.Key)
		if r.Level() == Queue {
			k.totals.Bytes = uint64(total(r, SentBytes))
			continue
		}
		k.totals.Delivered = uint64(total(r, DeliveredMessages))
		k.totals.Failed = uint64(total(r, FailedMessages))
		k.settled, k.skipped, k.deadEver = total(r, ConsumedMessages), total(r, SkippedMessages), total(r, DeadEver)
	}
}

func (t *Tracker) track(k Key) *track {
	at := t.tracks[k]
	if at == nil {
		at = &track{}
		t.tracks[k] = at
	}
	return at
}

// Advance takes the project's queues and what has passed since the sample before, and
// returns the sample.
func (t *Tracker) Advance(at time.Time, queues []dms.QueueFigures, passed map[Place]Counts) Frame {
	f := Frame{Project: t.project, At: at, Partial: make(map[dms.QueueID]bool)}
	keep := make(map[Key]bool)
	for _, q := range queues {
		key := Key{Queue: q.Ref.Queue}
		keep[key] = true
		if q.Unknown {
			f.Partial[key.Queue] = true
			continue
		}
		f.Rows = append(f.Rows, t.queue(at, key, q, passed[Place{t.project, key.Queue, ""}]))
		if !q.Complete {
			f.Partial[key.Queue] = true
		}
		for _, g := range q.Groups {
			key := Key{key.Queue, g.ID}
			keep[key] = true
			f.Rows = append(f.Rows, t.group(at, key, q, g, passed[Place{t.project, key.Queue, g.ID}]))
		}
	}
	for key := range t.tracks {
		if !keep[key] && !f.Partial[key.Queue] {
			delete(t.tracks, key)
		}
	}
	return f
}

func (t *Tracker) queue(at time.Time, key Key, q dms.QueueFigures, passed Counts) Row {
	k := t.track(key)
	k.totals = k.totals.plus(passed)
	then, now := k.point(point{at: at, totals: k.totals, produced: q.Last})
	v := values(queueMetrics)
	v[QueuedMessages], v[StoredBytes], v[ProducedMessages] = q.Messages, q.Bytes, int64(q.Last)
	v[SentBytes] = int64(k.totals.Bytes)
	v[MessageSize], v[RequestCount] = int64(now.totals.Bytes-then.totals.Bytes), int64(now.totals.Requests-then.totals.Requests)
	return Row{Key: key, QueueName: q.Name, Values: v}
}

func (t *Tracker) group(at time.Time, key Key, q dms.QueueFigures, g dms.GroupFigures, passed Counts) Row {
	k := t.track(key)
	k.totals = k.totals.plus(passed)
	if k.seen {
		made := max(g.DeadMade-k.before.DeadMade, 0)
		settled := int64(passed.Settled) + made
		k.deadEver += made
		k.settled += settled
		k.skipped += k.expired(q, g, settled)
	} else {
		// Perhaps another node's samples went before; what passed since then is known.
		k.settled += int64(passed.Settled)
		k.deadEver = max(k.deadEver, g.DeadMade)
	}
	k.seen, k.before, k.first, k.last = true, g, q.First, q.Last
	then, now := k.point(point{at: at, totals: k.totals, available: g.Available, produced: q.Last})

	v := values(groupMetrics)
	v[AvailableMessages], v[InFlightMessages] = g.Available, g.Outstanding
	v[ConsumedMessages], v[SkippedMessages] = k.settled, k.skipped
	v[DeadAvailable], v[DeadEver] = g.DeadWaiting, k.deadEver
	v[DeliveredMessages], v[FailedMessages] = int64(k.totals.Delivered), int64(k.totals.Failed)
	switch {
	case g.Available == 0:
		v[OldestAge], v[TimeToDrain] = 0, 0
	case !g.Oldest.IsZero():
		v[OldestAge] = int64(max(at.Sub(g.Oldest), 0) / time.Second)
	}
	if span := now.at.Sub(then.at); span > 0 {
		if g.Available > 0 {
			v[TimeToDrain] = drain(g.Available, then.available-now.available, span)
		}
		v[GrowingUnattended] = 0
		if now.available > then.available && now.produced > then.produced &&
			now.totals.Delivered == then.totals.Delivered && now.totals.Polls == then.totals.Polls && g.Waiting == 0 {
			v[GrowingUnattended] = 1
		}
	}
	return Row{Key: key, QueueName: q.Name, GroupName: g.Name, Values: v}
}

// expired is how many messages went out of the queue by age, since the sample before,
// that the group had not settled. What was stored and is neither available nor settled
// has expired; there can be no more of it than the queue has lost beyond the group's
// floor, which also keeps counts that arrive late from looking like it.
func (k *track) expired(q dms.QueueFigures, g dms.GroupFigures, settled int64) int64 {
	from := max(k.first, k.before.Floor+1)
	if q.First <= from {
		return 0
	}
	gone := k.before.Available + int64(q.Last-min(k.last, q.Last)) - settled - g.Available
	return min(max(gone, 0), int64(q.First-from))
}

func drain(left, less int64, span time.Duration) int64 {
	if less <= 0 {
		return NeverDrains
	}
	return min(int64(float64(left)*span.Seconds()/float64(less)), NeverDrains)
}

// point adds a moment and returns the one at the beginning of the window and the new one.
func (k *track) point(p point) (then, now point) {
	k.points = append(k.points, p)
	// The last point that lies outside of the window is where it begins.
	for len(k.points) > 2 && p.at.Sub(k.points[1].at) >= Window {
		k.points = k.points[1:]
	}
	return k.points[0], p
}

func values(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = Missing
	}
	return v
}
