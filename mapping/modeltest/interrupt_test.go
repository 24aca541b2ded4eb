package modeltest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dms/mapping"
	"dms/mapping/dms"
)

// shop is a project with one queue and one group, served by two nodes.
type shop struct {
	t     *testing.T
	w     *world
	queue dms.QueueRef
	group dms.GroupRef
}

func newShop(t *testing.T, mode dms.Mode, messages int) shop {
	t.Helper()
	s := shop{t: t, w: newPair(t)}
	q, err := s.w.nodes[0].CreateQueue(t.Context(), s.w.project.ID, dms.NewQueue{Name: "orders", Mode: mode, MaxConsumeCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := s.w.nodes[0].CreateGroups(t.Context(), q.Ref, []string{"readers"})
	if err != nil {
		t.Fatal(err)
	}
	s.queue, s.group = q.Ref, groups[0].Ref
	for i := 0; i < messages; i += 10 {
		var req dms.Send
		for j := range 10 {
			req.Messages = append(req.Messages, dms.Message{Payload: payloadOf(&refMessage{body: fmt.Sprintf("m%d", i+j)})})
		}
		if _, err := s.w.nodes[0].Send(t.Context(), s.queue, req); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// newPair is a world of two nodes without a plan.
func newPair(t *testing.T) *world {
	t.Helper()
	w := bareWorld(t, "", new(atomic.Int64))
	w.nodes = make([]*mapping.Broker, 2)
	w.start(0)
	w.start(1)
	t.Cleanup(func() {
		w.close()
		if w.err != nil || t.Failed() {
			t.Logf("%v\n%s", w.err, w.story())
		}
	})
	return w
}

// crash takes the first node's member down as a crash does, and the node with it.
func (s shop) crash() {
	s.w.down = 0
	cluster.Kill(0)
	s.w.stop(0)
}

// bodies consumes and settles everything through the second node and counts what came.
func (s shop) bodies(kind dms.Kind) map[string]int {
	s.t.Helper()
	got := make(map[string]int)
	for quiet := 0; quiet < 2; {
		batch, err := s.w.nodes[1].Receive(s.t.Context(), s.group, dms.Receive{Kind: kind, Max: 10, Wait: 3 * time.Second, AckWait: 30 * time.Second})
		if err != nil {
			s.t.Fatalf("consume: %v", err)
		}
		if len(batch.Deliveries) == 0 {
			quiet++
			continue
		}
		quiet = 0
		var acks []dms.Ack
		for _, d := range batch.Deliveries {
			acks = append(acks, dms.Ack{Handle: d.Handle, Success: true})
		}
		if _, err := s.w.nodes[1].Acknowledge(s.t.Context(), s.group, kind, acks); err != nil {
			s.t.Fatalf("acknowledge: %v", err)
		}
		for _, b := range bodiesOf(batch.Deliveries) {
			got[b]++
		}
	}
	return got
}

// killAll makes dead letters of all messages, one after the other.
func (s shop) killAll(messages int) {
	s.t.Helper()
	s.until(3*time.Minute, func() string {
		b := s.w.nodes[0]
		batch, err := b.Receive(s.t.Context(), s.group, dms.Receive{Kind: dms.Live, Max: 1, Wait: time.Second, AckWait: 30 * time.Second})
		if err == nil && len(batch.Deliveries) > 0 {
			_, err = b.Acknowledge(s.t.Context(), s.group, dms.Live, []dms.Ack{{Handle: batch.Deliveries[0].Handle}})
		}
		if err != nil {
			return err.Error()
		}
		_, groups, err := b.Groups(s.t.Context(), s.queue, dms.GroupView{DeadLetters: true})
		if err == nil && groups[0].DeadProduced == int64(messages) {
			return ""
		}
		return fmt.Sprintf("%+v, %v", groups, err)
	})
}

// until polls until the condition says "" and fails with what it said last.
func (s shop) until(limit time.Duration, condition func() string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := condition()
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("it did not happen within %v; last: %s", limit, last)
		}
	}
}

// A redrive whose node dies goes on elsewhere, and every message is in the end in one of
// its two places; at worst it was delivered twice. It has the cluster for itself.
func TestNoMessageIsLostWhenTheNodeOfARedriveDies(t *testing.T) {
	const messages = 40
	s := newShop(t, dms.Normal, messages)
	defer s.w.revive()
	s.killAll(messages)
	job, err := s.w.nodes[0].Redrive(t.Context(), s.group, dms.Redrive{Target: dms.ToGroup, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	s.until(time.Minute, func() string {
		j, err := s.w.nodes[1].Job(t.Context(), s.queue, job.ID)
		if err == nil && j.Moved >= 10 {
			return ""
		}
		return fmt.Sprintf("%+v, %v", j, err)
	})
	s.crash()
	s.until(2*time.Minute, func() string {
		j, err := s.w.nodes[1].Job(t.Context(), s.queue, job.ID)
		if err == nil && j.State == dms.JobDone {
			return ""
		}
		return fmt.Sprintf("%+v, %v", j, err)
	})
	got := s.bodies(dms.Live)
	dead, err := s.w.nodes[1].Peek(t.Context(), s.queue, dms.Peek{Source: dms.InDead, Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range dead.Messages {
		t.Errorf("left as a dead letter: %s", m.Payload)
	}
	s.once(got, messages, 2)
}

// once checks that all messages came, each at least once and at most most times.
func (s shop) once(got map[string]int, messages, most int) {
	s.t.Helper()
	var wrong []string
	for i := range messages {
		if n := got[fmt.Sprintf("m%d", i)]; n < 1 || n > most {
			wrong = append(wrong, fmt.Sprintf("m%d came %d times", i, n))
		}
	}
	if len(wrong) > 0 || len(got) != messages {
		s.t.Errorf("%d messages came, want %d; %s", len(got), messages, strings.Join(wrong, ", "))
	}
}

// A move or a purge during which a member dies happens, or does not, or says that it may
// have; it never loses what it was not to take.
func TestMovesAndPurgesHappenWholeWhenAMemberDies(t *testing.T) {
	for _, mode := range []dms.Mode{dms.Normal, dms.FIFO} {
		t.Run(string(mode), func(t *testing.T) {
			const messages = 40
			s := newShop(t, mode, messages)
			defer s.w.revive()
			s.once(s.bodies(dms.Live), messages, 1)
			moved := make(chan error, 1)
			go func() { // ends with the call, which ends by itself
				_, err := s.w.nodes[1].MoveGroup(t.Context(), s.group, dms.Position{To: dms.AtBegin}, false)
				moved <- err
			}()
			s.crash()
			if err := <-moved; err != nil {
				s.w.note("the move: %v", err)
				if _, err := s.w.nodes[1].MoveGroup(t.Context(), s.group, dms.Position{To: dms.AtBegin}, false); err != nil {
					t.Fatalf("repeated: %v", err)
				}
			}
			s.once(s.bodies(dms.Live), messages, 2)
			s.w.revive()

			purged := make(chan error, 1)
			go func() { // ends with the call
				_, err := s.w.nodes[1].Purge(t.Context(), s.queue, dms.Purge{Source: dms.InQueue})
				purged <- err
			}()
			s.crash()
			if err := <-purged; err != nil {
				s.w.note("the purge: %v", err)
			}
			q, err := s.w.nodes[1].Queue(t.Context(), s.queue)
			if err != nil || q.Messages != 0 && q.Messages != messages {
				t.Errorf("%d messages are left of %d: %v", q.Messages, messages, err)
			}
		})
	}
}
