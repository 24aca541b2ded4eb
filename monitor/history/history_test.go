package history

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/monitor/sample"

	"github.com/google/go-cmp/cmp"
)

const (
	project = "0123456789abcdef0123456789abcdef"
	queueID = dms.QueueID("9bf46390-38a2-462d-b392-4d5b2d519c55")
	groupID = dms.GroupID("g-5ec247fd-d4a2-4d4f-9876-e4ff3280c461")
)

// memory is a log without a disk.
type memory struct {
	now     func() time.Time
	entries []entry
	ids     map[string]bool
}

type entry struct {
	key   string
	at    time.Time
	value []byte
}

func (m *memory) Append(_ context.Context, key, id string, value []byte) error {
	if m.ids[id] {
		return nil
	}
	m.ids[id] = true
	m.entries = append(m.entries, entry{key, m.now(), value})
	return nil
}

func (m *memory) Read(_ context.Context, key string, from time.Time, f func(time.Time, []byte) error) error {
	for _, e := range m.entries {
		if e.key == key && !e.at.Before(from) {
			if err := f(e.at, e.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Last(_ context.Context, key string) (time.Time, []byte, bool, error) {
	for i := len(m.entries) - 1; i >= 0; i-- {
		if e := m.entries[i]; e.key == key {
			return e.at, e.value, true, nil
		}
	}
	return time.Time{}, nil, false, nil
}

func newMemory(now *time.Time) *memory {
	return &memory{now: func() time.Time { return *now }, ids: make(map[string]bool)}
}

func group(values ...int64) sample.Row {
	return sample.Row{Key: sample.Key{Queue: queueID, Group: groupID}, Values: values}
}

func metric(t *testing.T, id string) sample.Metric {
	t.Helper()
	m, _, ok := sample.Find(id)
	if !ok {
		t.Fatalf("no metric %s", id)
	}
	return m
}

func points(s Series) string {
	text := ""
	for _, p := range s.Points {
		if p == nil {
			text += " -"
		} else {
			text += fmt.Sprintf(" %g", *p)
		}
	}
	return text
}

func TestSamplesThatAreMissingAreGapsAndNotZero(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	now := start
	fine, rough := newMemory(&now), newMemory(&now)
	h := New(fine, rough)
	r := h.Recorder()
	for i, v := range []int64{4, 6, 0, sample.Missing, 9, 11} {
		now = start.Add(time.Duration(i) * 10 * time.Second)
		if i == 2 {
			continue // nobody sampled
		}
		if err := r.Record(t.Context(), sample.Frame{Project: project, At: now, Rows: []sample.Row{group(v, 1, v)}}); err != nil {
			t.Fatal(err)
		}
	}
	q := Query{
		Metrics: []sample.Metric{metric(t, "available_messages"), metric(t, "consumed_messages"), metric(t, "time_to_drain")},
		From:    start, To: start.Add(time.Minute), Step: 10 * time.Second,
	}
	got, err := h.Query(t.Context(), project, q, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d series, want one for each metric", len(got))
	}
	for i, want := range []string{" 4 6 - - 9 11", " 4 6 - - 9 11", " - - - - - -"} {
		if text := points(got[i]); text != want {
			t.Errorf("%s is%s, want%s", got[i].Metric.ID, text, want)
		}
	}
	// A wider step takes the mean of a gauge and the last value of a total.
	q.Step = 20 * time.Second
	if got, err = h.Query(t.Context(), project, q, now); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{" 5 - 10", " 6 - 11"} {
		if text := points(got[i]); text != want {
			t.Errorf("%s in wide steps is%s, want%s", got[i].Metric.ID, text, want)
		}
	}
	if n := len(rough.entries); n != 1 {
		t.Errorf("%d samples of one minute are kept for days, want 1", n)
	}
	q.Key.Queue = "00000000-0000-0000-0000-000000000000"
	if got, err = h.Query(t.Context(), project, q, now); err != nil || len(got) != 0 {
		t.Errorf("another queue has %d series (%v), want none", len(got), err)
	}
}

func TestLongRangesComeFromTheCoarseLog(t *testing.T) {
	start := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	now := start
	h := New(newMemory(&now), newMemory(&now))
	r := h.Recorder()
	for range 3 * 60 * 2 {
		if err := r.Record(t.Context(), sample.Frame{Project: project, At: now, Rows: []sample.Row{group(7)}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(30 * time.Second)
	}
	h.fine.(*memory).entries = nil // as after its retention
	got, err := h.Query(t.Context(), project, Query{
		Metrics: []sample.Metric{metric(t, "available_messages")}, From: start, To: now, Step: time.Hour,
	}, start.Add(24*time.Hour))
	if err != nil || len(got) != 1 {
		t.Fatalf("%d series, %v", len(got), err)
	}
	if text := points(got[0]); text != " 7 7 7" {
		t.Errorf("three hours are%s", text)
	}
}

func TestRecordersThatFollowEachOtherKeepOneSampleOfAMinute(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	fine, rough := newMemory(&now), newMemory(&now)
	h := New(fine, rough)
	for range 3 {
		if err := h.Recorder().Record(t.Context(), sample.Frame{Project: project, At: now, Rows: []sample.Row{group(1)}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if len(fine.entries) != 3 || len(rough.entries) != 1 {
		t.Errorf("%d fine and %d coarse samples, want 3 and 1", len(fine.entries), len(rough.entries))
	}
}

func TestTheLastSampleComesBackWhole(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	h := New(newMemory(&now), newMemory(&now))
	if _, ok, err := h.Last(t.Context(), project); ok || err != nil {
		t.Fatalf("a sample of nothing: %v, %v", ok, err)
	}
	want := sample.Frame{Project: project, At: now, Rows: []sample.Row{
		{Key: sample.Key{Queue: queueID}, Values: []int64{1, sample.Missing, -5}},
		group(0, 1<<62, -1<<63+1),
	}}
	if err := h.Recorder().Record(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := h.Last(t.Context(), project)
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sample (-stored +read):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode([]sample.Row{group(1, sample.Missing, 300)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{version, 0})
	f.Add([]byte{version, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var rows []sample.Row
		err := decode(b, func(r sample.Row) {
			r.Values = append([]int64(nil), r.Values...)
			rows = append(rows, r)
		})
		if err != nil {
			return
		}
		again, err := encode(rows)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var second []sample.Row
		if err := decode(again, func(r sample.Row) {
			r.Values = append([]int64(nil), r.Values...)
			second = append(second, r)
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, second); diff != "" {
			t.Errorf("rows change by being written (-read +again):\n%s", diff)
		}
	})
}
