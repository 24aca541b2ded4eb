package alarm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/monitor/sample"
)

const project = "0123456789abcdef0123456789abcdef"

func start() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

func number(v float64) *float64 { return &v }

// rule fires above 100 after 20 s, and resolves at 50 after 10 s.
func rule() Rule {
	return Rule{
		ID: "0123456789abcdef0123456789abcdef", Name: "backlog", Metric: "available_messages", Comparison: Above, Threshold: 100,
		For: 20 * time.Second, Resolve: number(50), ResolveFor: 10 * time.Second, Severity: Major,
		Webhooks: []Webhook{{URL: "https://example.com/hook", Secret: "0123456789abcdef"}},
	}
}

// frame is a sample of one group; value Missing leaves the figure out.
func frame(at time.Time, value int64) sample.Frame {
	return sample.Frame{Project: project, At: at, Rows: []sample.Row{
		{Key: sample.Key{Queue: "q"}, QueueName: "orders", Values: []int64{value}},
		{Key: sample.Key{Queue: "q", Group: "g"}, QueueName: "orders", GroupName: "billing", Values: []int64{value}},
	}}
}

// status is the state of the one group, and whether nothing is known of it.
func status(s State) string {
	t, ok := s.Targets["q/g"]
	if !ok {
		return "ok"
	}
	if !t.NoData.IsZero() {
		return string(t.Status) + "?"
	}
	return string(t.Status)
}

func TestAlarmsFireAndResolve(t *testing.T) {
	const none = sample.Missing
	for name, c := range map[string]struct {
		change func(*Rule)
		values []int64 // every 10 s
		want   string
	}{
		"bad for long enough":             {values: []int64{0, 101, 101, 101, 101}, want: "ok pending pending firing firing"},
		"the threshold itself is not bad": {values: []int64{100, 100, 100, 100}, want: "ok ok ok ok"},
		"a short peak is nothing":         {values: []int64{101, 101, 100, 101, 101, 101}, want: "pending pending ok pending pending firing"},
		"it resolves when good for long":  {values: []int64{101, 101, 101, 50, 50, 0}, want: "pending pending firing firing ok ok"},
		"between the thresholds it stays": {values: []int64{101, 101, 101, 60, 60, 60, 50, 60, 50, 50}, want: "pending pending firing firing firing firing firing firing firing ok"},
		"no data is not zero":             {values: []int64{101, 101, 101, none, none, none, 101}, want: "pending pending firing firing? firing? firing? firing"},
		"no data does not make it fire":   {values: []int64{101, none, none, none, 101, 101, 101}, want: "pending pending? pending? pending? pending firing firing"},
		"no data does not resolve it":     {values: []int64{101, 101, 101, 50, none, none, 50, 50}, want: "pending pending firing firing firing? firing? ok ok"},
		"nothing but no data is fine":     {values: []int64{none, none}, want: "ok ok"},
		"at once":                         {change: func(r *Rule) { r.For, r.ResolveFor, r.Resolve = 0, 0, nil }, values: []int64{101, 100, 101}, want: "firing ok firing"},
		"below":                           {change: func(r *Rule) { r.Comparison, r.Threshold, r.For, r.Resolve, r.ResolveFor = Below, 10, 0, number(20), 0 }, values: []int64{10, 9, 15, 20}, want: "ok firing firing ok"},
		"at most":                         {change: func(r *Rule) { r.Comparison, r.Threshold, r.For, r.Resolve, r.ResolveFor = AtMost, 10, 0, nil, 0 }, values: []int64{11, 10, 11}, want: "ok firing ok"},
		"at least":                        {change: func(r *Rule) { r.Comparison, r.For, r.Resolve, r.ResolveFor = AtLeast, 0, nil, 0 }, values: []int64{99, 100, 99}, want: "ok firing ok"},
		"of another queue":                {change: func(r *Rule) { r.Queue = "other" }, values: []int64{101, 101, 101}, want: "ok ok ok"},
		"of this queue":                   {change: func(r *Rule) { r.Queue, r.For = "q", 0 }, values: []int64{101}, want: "firing"},
		"disabled":                        {change: func(r *Rule) { r.Disabled = true }, values: []int64{101, 101, 101}, want: "ok ok ok"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rule()
			if c.change != nil {
				c.change(&r)
			}
			var s State
			var got []string
			for i, v := range c.values {
				s, _ = s.Evaluate(r, frame(start().Add(time.Duration(i)*10*time.Second), v))
				got = append(got, strings.ReplaceAll(status(s), "ok?", "ok"))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("statuses are\n %s, want\n %s", text, c.want)
			}
		})
	}
}

// run evaluates values ten seconds apart and collects what goes out.
func run(t *testing.T, r Rule, s State, from time.Time, values ...int64) (State, string) {
	t.Helper()
	var told []string
	for i, v := range values {
		at := from.Add(time.Duration(i) * 10 * time.Second)
		s, _ = s.Evaluate(r, frame(at, v))
		before := len(s.Outbox)
		s = s.Notify(project, r, at)
		for _, n := range s.Outbox[before:] {
			told = append(told, fmt.Sprintf("%d:%s", i, n.Target.Status))
		}
	}
	return s, strings.Join(told, " ")
}

func TestEveryTurnIsToldOnce(t *testing.T) {
	r := rule()
	r.For, r.ResolveFor, r.Resolve = 0, 0, nil
	s, told := run(t, r, State{}, start(), 101, 102, 103, 0, 0, 101, 0)
	if want := "0:firing 3:ok 5:firing 6:ok"; told != want {
		t.Errorf("told %s, want %s", told, want)
	}
	ids := make(map[string]bool)
	for _, n := range s.Outbox {
		ids[n.ID] = true
	}
	if len(ids) != 4 || len(s.Targets) != 0 {
		t.Errorf("%d distinct notices and %d targets, want 4 and 0", len(ids), len(s.Targets))
	}
}

func TestWhoIsMutedHearsAfterwardsWhatStillHolds(t *testing.T) {
	r := rule()
	r.For, r.ResolveFor, r.Resolve = 0, 0, nil
	for name, c := range map[string]struct {
		values []int64
		want   string
	}{
		"it still fires":           {[]int64{101, 101, 101, 101}, "3:firing"},
		"it has passed":            {[]int64{101, 0, 0, 0}, ""},
		"it fires later":           {[]int64{0, 0, 0, 101}, "3:firing"},
		"it comes and goes, often": {[]int64{101, 0, 101, 0, 101}, "4:firing"},
	} {
		t.Run(name, func(t *testing.T) {
			r.MutedUntil = start().Add(30 * time.Second)
			if _, told := run(t, r, State{}, start(), c.values...); told != c.want {
				t.Errorf("told %q, want %q", told, c.want)
			}
		})
	}
	// Told before, resolved in silence: the end is told when the silence is over.
	r.MutedUntil = time.Time{}
	s, _ := run(t, r, State{}, start(), 101)
	r.MutedUntil = start().Add(time.Minute)
	s, told := run(t, r, s, start().Add(10*time.Second), 0, 0)
	if told != "" {
		t.Errorf("told %q while muted", told)
	}
	if _, told = run(t, r, s, start().Add(time.Minute), 0); told != "0:ok" {
		t.Errorf("told %q after the silence, want the end", told)
	}
}

func TestWhatDoesNotExistAnyMoreResolves(t *testing.T) {
	r := rule()
	r.For = 0
	s, _ := run(t, r, State{}, start(), 101)
	gone := frame(start().Add(10*time.Second), 101)
	gone.Rows = gone.Rows[:1]
	// The group could not be asked: that is no news.
	gone.Partial = map[dms.QueueID]bool{"q": true}
	still, changes := s.Evaluate(r, gone)
	if status(still) != "firing?" || len(changes) != 0 {
		t.Errorf("a group that cannot be asked is %s with %d changes", status(still), len(changes))
	}
	gone.Partial = nil
	ended, changes := s.Evaluate(r, gone)
	if len(changes) != 1 || changes[0].To != OK || changes[0].Reason == "" {
		t.Fatalf("changes %+v, want one with a reason", changes)
	}
	if ended = ended.Notify(project, r, gone.At); len(ended.Outbox) != 2 || ended.Outbox[1].Firing() {
		t.Errorf("the end is not told: %+v", ended.Outbox)
	}
	r.Disabled = true
	if _, changes = s.Evaluate(r, frame(start(), 101)); len(changes) != 1 || changes[0].To != OK {
		t.Errorf("disabling changes %+v", changes)
	}
}

func TestEvaluatingLeavesTheStateBeforeAlone(t *testing.T) {
	r := rule()
	r.For = 0
	s, _ := run(t, r, State{}, start(), 101)
	if _, changes := s.Evaluate(r, frame(start().Add(time.Minute), 0)); len(changes) != 0 {
		t.Errorf("it resolves before its time: %+v", changes)
	}
	if status(s) != "firing" || !s.Targets["q/g"].Good.IsZero() {
		t.Errorf("the old state changed: %+v", s.Targets)
	}
}

func TestNoticesGoOutInOrderUntilTheyArriveOrAreGivenUp(t *testing.T) {
	r := rule()
	r.For, r.ResolveFor, r.Resolve = 0, 0, nil
	r.Webhooks = append(r.Webhooks, Webhook{URL: "https://other.example/", Secret: "0123456789abcdef"})
	s, _ := run(t, r, State{}, start(), 101, 0)
	now := start().Add(20 * time.Second)
	due := s.Due(now)
	if len(s.Outbox) != 4 || len(due) != 2 || !due[0].Firing() || !due[1].Firing() {
		t.Fatalf("%d waiting, due %+v: want the beginning for each webhook", len(s.Outbox), due)
	}
	s, given := s.Sent(due[0], nil, now)
	if due = s.Due(now); given || len(due) != 2 || due[0].Firing() == due[1].Firing() {
		t.Errorf("after one success %+v is due: want its end, and the other's beginning", due)
	}
	failed := errors.New("refused")
	waited := time.Duration(0)
	for attempt := 1; ; attempt++ {
		i := 0
		for i < len(s.Outbox) && (s.Outbox[i].Webhook != r.Webhooks[1].URL || !s.Outbox[i].Firing()) {
			i++
		}
		if i == len(s.Outbox) {
			t.Fatal("the notice has gone without being given up")
		}
		n := s.Outbox[i]
		if now.Before(n.Next) {
			waited += n.Next.Sub(now)
			now = n.Next
		}
		if s, given = s.Sent(n, failed, now); given {
			if attempt != maxAttempts || waited < 10*time.Minute || waited > time.Hour {
				t.Errorf("given up after %d attempts and %v", attempt, waited)
			}
			break
		}
	}
	if s, given = s.Sent(due[1], nil, now); given || len(s.Outbox) != 1 {
		t.Errorf("%d notices are left, want the last one", len(s.Outbox))
	}
}

func TestAnOutboxDoesNotGrowForEver(t *testing.T) {
	r := rule()
	r.For, r.ResolveFor, r.Resolve = 0, 0, nil
	values := make([]int64, 500)
	for i := range values {
		values[i] = int64(i % 2 * 101)
	}
	if s, _ := run(t, r, State{}, start(), values...); len(s.Outbox) != maxOutbox {
		t.Errorf("%d notices wait, want %d", len(s.Outbox), maxOutbox)
	}
}
