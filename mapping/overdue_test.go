package mapping

import (
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

// stall stores delayed messages the way Send does, but for their schedule, as the log
// leaves one whose change it has lost.
func stall(t *testing.T, s *session, queue dms.QueueID, due time.Time, texts ...string) {
	t.Helper()
	if err := s.due.store.ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		m := scheduled(queue, dms.MessageID(text), messageSubject(queue, nil), dms.Message{Payload: payload(text)}, due)
		m.Header.Del(scheduleAt)
		m.Header.Del(scheduleTarget)
		ack, err := s.js.PublishMsg(t.Context(), m)
		if err != nil || ack.Duplicate {
			t.Fatalf("store %s: %v, %+v", text, err, ack)
		}
	}
}

func sessionOf(t *testing.T, f fixture) *session {
	t.Helper()
	s, release, err := f.b.session(t.Context(), f.p.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return s
}

func TestWhatDidNotComeDueByItselfIsMoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	s := sessionOf(t, f)
	now := time.Now()
	stall(t, s, f.queue.Queue, now.Add(-50*time.Minute), "an-hour-ago")
	stall(t, s, f.queue.Queue, now.Add(-time.Minute), "a-minute-ago", "a-minute-ago-too")
	stall(t, s, f.queue.Queue, now, "now")
	// One that waits for its time is not touched.
	stall(t, s, f.queue.Queue, now.Add(time.Hour), "in-an-hour")
	if err := s.due.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"an-hour-ago": 1, "a-minute-ago": 1, "a-minute-ago-too": 1, "now": 1}
	got := make(map[string]int)
	enginetest.Wait(t, func() string {
		ds := receive(t, f.b, f.group, live(10, time.Second))
		for _, body := range bodies(ds) {
			got[body]++
		}
		if len(ds) > 0 {
			acknowledge(t, f.b, f.group, dms.Live, acks(ds), len(ds))
		}
		return cmp.Diff(want, got)
	})
	enginetest.Wait(t, func() string {
		info, err := s.streamInfo(t.Context(), delayStream, nil)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(uint64(1), info.State.Msgs)
	})
}

// A send is held while its leader is away, so that what it stores can be due in a slot
// that was looked into already.
func TestWhatIsStoredLateIsFoundAllTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	s := sessionOf(t, f)
	now := time.Now()
	stall(t, s, f.queue.Queue, now.Add(time.Hour), "in-an-hour")
	o := overdue{v: s.due}
	if err := o.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := now.Add(2*time.Second - overdueAfter - holdFor)
	stall(t, s, f.queue.Queue, late, "late")
	if err := o.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"late"}, bodies(receive(t, f.b, f.group, live(10, 20*time.Second)))); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

// A message that has been moved already is known by its id.
func TestWhatIsMovedTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	s := sessionOf(t, f)
	due := time.Now().Add(-time.Minute)
	stall(t, s, f.queue.Queue, due, "one")
	m := scheduled(f.queue.Queue, "one", messageSubject(f.queue.Queue, nil), dms.Message{Payload: payload("one")}, due)
	d, err := newDueMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.due.attempt(t.Context(), []*dueMessage{d}); err != nil {
		t.Fatal(err)
	}
	if err := s.due.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	enginetest.Wait(t, func() string {
		info, err := s.streamInfo(t.Context(), delayStream, nil)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(uint64(0), info.State.Msgs)
	})
	if d := cmp.Diff(int64(1), counters(t, f.b, f.group).Produced); d != "" {
		t.Errorf("produced (-want +got):\n%s", d)
	}
}

// A message whose queue is said not to be there is kept until that is beyond doubt.
func TestAnOverdueMessageIsGivenUpLongAfterItsQueueIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	s := sessionOf(t, f)
	if err := s.due.store.ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	gone, err := dms.ParseQueueID("01234567-89ab-4cde-8f01-23456789abcd")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	stall(t, s, gone, now.Add(-goneAfter/2), "kept")
	stall(t, s, gone, now.Add(-2*goneAfter), "given-up")
	o := overdue{v: s.due}
	if err := o.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := now.Add(-goneAfter / 2)
	if o.from.After(kept) {
		t.Errorf("what is due at %s is not looked for again: from %s", kept, o.from)
	}
	m, err := s.readStored(t.Context(), delayStream, map[string]any{"seq": 1, "next_by_subj": "dly.>"})
	if err != nil {
		t.Fatal(err)
	}
	if want := delaySubject(gone, "kept", kept); m.Message.Subject != want {
		t.Errorf("%s is left, want %s", m.Message.Subject, want)
	}
}
