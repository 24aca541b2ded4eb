package sample

import (
	"testing"
	"time"

	"dms/mapping/dms"
)

const project = "0123456789abcdef0123456789abcdef"

func start() time.Time { return time.Unix(1_800_000_000, 0) }

// world is a queue with one group that a test moves on.
type world struct {
	t       *testing.T
	tracker *Tracker
	at      time.Time
	q       dms.QueueFigures
}

func newWorld(t *testing.T) *world {
	return &world{t: t, tracker: NewTracker(project), at: start(), q: dms.QueueFigures{
		Ref: dms.QueueRef{Project: project, Queue: "q"}, Name: "orders", Complete: true, First: 1,
		Groups: []dms.GroupFigures{{ID: "g", Name: "billing"}},
	}}
}

func (w *world) group() *dms.GroupFigures { return &w.q.Groups[0] }

// step lets time pass and returns the samples of the queue and of the group.
func (w *world) step(after time.Duration, queue, group Counts) (q, g Row) {
	w.t.Helper()
	w.at = w.at.Add(after)
	f := w.tracker.Advance(w.at, []dms.QueueFigures{w.q}, map[Place]Counts{
		{project, "q", ""}: queue, {project, "q", "g"}: group,
	})
	if len(f.Rows) != 2 {
		w.t.Fatalf("%d rows, want 2", len(f.Rows))
	}
	return f.Rows[0], f.Rows[1]
}

func (w *world) want(what string, r Row, place int, want int64) {
	w.t.Helper()
	got, ok := r.Value(place)
	if want == Missing {
		if ok {
			w.t.Errorf("%s is %d, want none", what, got)
		}
		return
	}
	if !ok || got != want {
		w.t.Errorf("%s is %d (known: %v), want %d", what, got, ok, want)
	}
}

func TestRatesCoverTheLastMinute(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		q, _ := w.step(10*time.Second, Counts{Requests: 2, Bytes: 100}, Counts{})
		switch i {
		case 0:
			w.want("the first size", q, MessageSize, 0)
		case 19:
			w.want("bytes of a minute", q, MessageSize, 600)
			w.want("requests of a minute", q, RequestCount, 12)
			w.want("bytes ever", q, SentBytes, 2000)
		}
	}
}

func TestTimeToDrainFollowsThePace(t *testing.T) {
	w := newWorld(t)
	w.group().Available = 100
	_, g := w.step(0, Counts{}, Counts{})
	w.want("with one sample", g, TimeToDrain, Missing)
	w.group().Available = 80
	_, g = w.step(10*time.Second, Counts{}, Counts{Delivered: 20, Settled: 20})
	w.want("2 per second", g, TimeToDrain, 40)
	w.group().Available = 90
	for range 10 {
		_, g = w.step(10*time.Second, Counts{}, Counts{})
	}
	w.want("standing still", g, TimeToDrain, NeverDrains)
	w.group().Available = 0
	_, g = w.step(10*time.Second, Counts{}, Counts{})
	w.want("with nothing left", g, TimeToDrain, 0)
	w.want("age of nothing", g, OldestAge, 0)
}

func TestGrowthWithoutConsumersIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		passed  Counts
		waiting int64
		grows   int64
		want    int64
	}{
		"nobody comes":          {grows: 5, want: 1},
		"nothing arrives":       {},
		"somebody polls":        {passed: Counts{Polls: 1}, grows: 5},
		"somebody waits":        {waiting: 1, grows: 5},
		"somebody gets some":    {passed: Counts{Delivered: 1}, grows: 5},
		"the backlog gets less": {grows: -5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.group().Available, w.q.Last = 10, 10
			_, g := w.step(0, Counts{}, Counts{})
			w.want("at first", g, GrowingUnattended, Missing)
			w.group().Available, w.group().Waiting = 10+c.grows, c.waiting
			w.q.Last += uint64(max(c.grows, 0))
			_, g = w.step(10*time.Second, Counts{}, c.passed)
			w.want("then", g, GrowingUnattended, c.want)
		})
	}
}

func TestWhatExpiresUnreadIsSkippedAndNotConsumed(t *testing.T) {
	w := newWorld(t)
	w.q.First, w.q.Last = 1, 10
	w.group().Available = 10
	w.step(0, Counts{}, Counts{})
	// Four are settled, then the queue loses its first seven.
	w.group().Available, w.group().Floor = 6, 4
	_, g := w.step(10*time.Second, Counts{}, Counts{Delivered: 4, Settled: 4})
	w.want("consumed", g, ConsumedMessages, 4)
	w.want("skipped", g, SkippedMessages, 0)
	w.q.First = 8
	w.group().Available, w.group().Floor = 3, 7
	_, g = w.step(10*time.Second, Counts{}, Counts{})
	w.want("skipped after expiry", g, SkippedMessages, 3)
	w.want("consumed after expiry", g, ConsumedMessages, 4)
	// Counts that come late must not look like it.
	w.group().Available = 1
	_, g = w.step(10*time.Second, Counts{}, Counts{})
	w.want("skipped without expiry", g, SkippedMessages, 3)
}

func TestDeadLettersCountAsConsumed(t *testing.T) {
	w := newWorld(t)
	w.group().DeadMade, w.group().DeadWaiting = 2, 2
	_, g := w.step(0, Counts{}, Counts{})
	w.want("made before anyone looked", g, DeadEver, 2)
	w.group().DeadMade, w.group().DeadWaiting = 3, 1
	_, g = w.step(time.Second, Counts{}, Counts{Failed: 1})
	w.want("ever", g, DeadEver, 3)
	w.want("waiting", g, DeadAvailable, 1)
	w.want("consumed", g, ConsumedMessages, 1)
	w.want("failed", g, FailedMessages, 1)
	w.group().DeadMade, w.group().DeadWaiting = 0, 0 // they expire
	_, g = w.step(time.Second, Counts{}, Counts{})
	w.want("ever, after they expired", g, DeadEver, 3)
}

func TestTotalsGoOnWhereAnotherNodeEnded(t *testing.T) {
	w := newWorld(t)
	w.step(0, Counts{Bytes: 7}, Counts{})
	q, g := w.step(time.Second, Counts{Bytes: 3}, Counts{Delivered: 5, Settled: 5, Failed: 1})
	other := newWorld(t)
	other.tracker.Resume(Frame{Project: project, Rows: []Row{q, g}})
	// What passed while nobody watched counts in the first sample already.
	_, g = other.step(0, Counts{}, Counts{Delivered: 2, Settled: 2})
	w.want("consumed at the takeover", g, ConsumedMessages, 7)
	q, g = other.step(time.Second, Counts{Bytes: 1}, Counts{Delivered: 1, Settled: 1})
	w.want("bytes", q, SentBytes, 11)
	w.want("delivered", g, DeliveredMessages, 8)
	w.want("consumed", g, ConsumedMessages, 8)
	w.want("failed", g, FailedMessages, 1)
}

func TestGroupsThatCannotBeAskedAreGaps(t *testing.T) {
	w := newWorld(t)
	w.step(0, Counts{}, Counts{Delivered: 5})
	_, _ = w.step(time.Second, Counts{}, Counts{Delivered: 5})
	groups := w.q.Groups
	w.q.Groups, w.q.Complete = nil, false
	f := w.tracker.Advance(w.at.Add(time.Second), []dms.QueueFigures{w.q}, nil)
	if len(f.Rows) != 1 || !f.Partial["q"] {
		t.Fatalf("%d rows, partial %v: want the queue's only, and partial", len(f.Rows), f.Partial)
	}
	w.q.Groups, w.q.Complete = groups, true
	_, g := w.step(2*time.Second, Counts{}, Counts{})
	w.want("delivered, after the gap", g, DeliveredMessages, 10)
}

func TestMetersCountWhatNobodyElseHasCounted(t *testing.T) {
	place := Place{project, "q", "g"}
	counted := func(n, before uint64) []Counted {
		return []Counted{{place, Counts{Delivered: n}, Counts{Delivered: before}}}
	}
	var m Meters
	for i, step := range []struct {
		runs map[string][]Counted
		want uint64
	}{
		{map[string][]Counted{"a": counted(100, 90), "b": counted(50, 50)}, 10}, // both told somebody before
		{map[string][]Counted{"a": counted(103, 100), "b": counted(51, 50)}, 4},
		{map[string][]Counted{"a": counted(105, 103)}, 2},                              // b is silent
		{map[string][]Counted{"a": counted(105, 105), "b": counted(61, 60)}, 10},       // and back: its answers were lost
		{map[string][]Counted{"a": counted(1, 0), "c": counted(9, 0)}, 10},             // a forgot the place meanwhile, c is new
		{map[string][]Counted{"a": nil, "c": counted(10, 9), "b": counted(61, 61)}, 1}, // forgotten again
	} {
		if got := m.Advance(step.runs)[place].Delivered; got != step.want {
			t.Errorf("step %d: %d delivered, want %d", i, got, step.want)
		}
	}
}

func TestTrafficIsForgottenWhenNothingPasses(t *testing.T) {
	var traffic Traffic
	now := start()
	p, q := Place{project, "q", ""}, Place{project, "q", "g"}
	traffic.Add(p, Counts{Requests: 1}, now)
	traffic.Add(q, Counts{Polls: 1}, now)
	traffic.Add(p, Counts{Requests: 2, Bytes: 9}, now.Add(50*time.Minute))
	if n := len(traffic.Counted(now.Add(55 * time.Minute))); n != 2 {
		t.Errorf("%d places, want 2", n)
	}
	traffic.Add(p, Counts{Bytes: 1}, now.Add(50*time.Minute))
	got := traffic.Counted(now.Add(70 * time.Minute))
	if len(got) != 1 || got[0] != (Counted{p, Counts{Requests: 3, Bytes: 10}, Counts{Requests: 3, Bytes: 9}}) {
		t.Errorf("counted %+v, want only the place that is in use", got)
	}
}

func TestMetricsAreNamedOnce(t *testing.T) {
	if len(Metrics(Queue)) != queueMetrics || len(Metrics(Group)) != groupMetrics {
		t.Fatalf("%d and %d metrics, want %d and %d", len(Metrics(Queue)), len(Metrics(Group)), queueMetrics, groupMetrics)
	}
	ids, exported := make(map[string]bool), make(map[string]bool)
	for _, m := range All() {
		if ids[m.ID] || exported[m.Prometheus] || m.Help == "" || m.Unit == "" {
			t.Errorf("%+v is incomplete or there twice", m)
		}
		ids[m.ID], exported[m.Prometheus] = true, true
	}
	if m, place, ok := Find("oldest_message_age"); !ok || place != OldestAge || m.Level != Group {
		t.Errorf("oldest_message_age is found as %+v at %d", m, place)
	}
}

func TestAQueueWithoutALeaderIsAGap(t *testing.T) {
	w := newWorld(t)
	w.step(0, Counts{Bytes: 4}, Counts{})
	f := w.tracker.Advance(w.at.Add(time.Second), []dms.QueueFigures{{Ref: w.q.Ref, Unknown: true}}, nil)
	if len(f.Rows) != 0 || !f.Partial["q"] {
		t.Fatalf("%d rows, partial %v: want none, and partial", len(f.Rows), f.Partial)
	}
	q, _ := w.step(2*time.Second, Counts{Bytes: 1}, Counts{})
	w.want("bytes, after the gap", q, SentBytes, 5)
}
