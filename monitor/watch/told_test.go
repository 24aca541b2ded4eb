package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/monitor/alarm"
)

func TestABacklogIsToldWhenItComesAndWhenItGoes(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	r := w.alarm(n, nil)
	w.backlog.Store(11)
	w.await("firing")
	w.backlog.Store(3)
	w.await("firing resolved")
	w.backlog.Store(20)
	w.await("firing resolved firing")
	eventually(t, func() (string, bool) {
		all, err := n.Rules().History(t.Context(), project, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		var turns []string
		delivered := 0
		for _, h := range all {
			if h.Change != nil {
				turns = append(turns, string(h.Change.To))
			} else if h.Delivery.Error == "" {
				delivered++
			}
		}
		// That a notification arrived may be on record after the next turn.
		text := strings.Join(turns, " ")
		return fmt.Sprintf("%s, %d delivered", text, delivered), text == "firing ok firing" && delivered == 3
	})
	if v := w.got[0].value; v != 11 {
		t.Errorf("the value told is %v, want 11", v)
	}
	if sent, failed, given := n.Deliveries(); sent != 3 || failed != 0 || given != 0 {
		t.Errorf("%d sent, %d failed, %d given up", sent, failed, given)
	}
}

func TestNothingKnownIsNotZero(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	w.alarm(n, nil)
	w.backlog.Store(11)
	w.await("firing")
	w.blind.Store(true)
	w.backlog.Store(0)
	before := n.LostPasses()
	eventually(t, func() (string, bool) { return "no sample is lost", n.LostPasses() > before+5 })
	if got, _ := w.told(); got != "firing" {
		t.Errorf("told %q although nothing is known", got)
	}
	w.blind.Store(false)
	w.await("firing resolved")
}

func TestOneNodeAtATimeWatches(t *testing.T) {
	w := newWorld(t)
	nodes := []*Watch{w.node("n1", nil), w.node("n2", nil), w.node("n3", nil)}
	w.alarm(nodes[0], nil)
	w.backlog.Store(11)
	w.await("firing")
	for left := len(nodes); left > 1; left-- {
		at := -1
		eventually(t, func() (string, bool) {
			at = slices.IndexFunc(nodes, func(n *Watch) bool { return n.Latest() != nil })
			return "nobody watches", at >= 0
		})
		stop(t, nodes[at])
		nodes = slices.Delete(nodes, at, at+1)
	}
	w.backlog.Store(0)
	w.await("firing resolved")
	if _, repeated := w.told(); repeated != 0 {
		t.Errorf("%d notifications were repeated by orderly stops", repeated)
	}
}

// A node that dies after it has sent and before it has recorded that leaves the
// notification to its successor, who sends it again under the same id.
func TestADeadNodeLosesAndDoublesNothing(t *testing.T) {
	w := newWorld(t)
	var dead atomic.Bool
	first := &cut{Records: w.m, dead: &dead}
	w.mu.Lock()
	w.says = func(received) int {
		dead.Store(true) // from now on nothing that the first node writes arrives
		return http.StatusOK
	}
	w.mu.Unlock()
	n1 := w.node("n1", func(o *Options) { o.Records = first })
	w.alarm(n1, nil)
	eventually(t, func() (string, bool) { return "nobody watches", n1.Latest() != nil })
	w.node("n2", nil)
	w.backlog.Store(11)
	eventually(t, func() (string, bool) {
		got, repeated := w.told()
		return fmt.Sprintf("told %q, %d repeated", got, repeated), got == "firing" && repeated == 1
	})
	w.backlog.Store(0)
	w.await("firing resolved")
	if _, repeated := w.told(); repeated != 1 {
		t.Errorf("%d repetitions, want the one of the death", repeated)
	}
}

// cut is a node's way to the records, which ends when the node dies.
type cut struct {
	Records
	dead *atomic.Bool
}

func (c *cut) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if c.dead.Load() {
		return 0, errDown
	}
	return c.Records.Put(ctx, key, value, revision)
}

func (c *cut) Get(ctx context.Context, key string) (Record, error) {
	if c.dead.Load() {
		return Record{}, errDown
	}
	return c.Records.Get(ctx, key)
}

func TestAReceiverThatRefusesIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	var calls atomic.Int64
	w.says = func(received) int {
		if calls.Add(1) < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	}
	// Time runs a thousand times faster, so that nobody waits for the back-off.
	begin := time.Now()
	n := w.node("n1", func(o *Options) {
		o.Now = func() time.Time { return begin.Add(time.Since(begin) * 1000) }
	})
	r := w.alarm(n, nil)
	w.backlog.Store(11)
	eventually(t, func() (string, bool) {
		sent, failed, _ := n.Deliveries()
		return fmt.Sprintf("%d sent, %d failed", sent, failed), sent == 1 && failed == 2
	})
	if got, repeated := w.told(); got != "firing" || repeated != 2 {
		t.Errorf("told %q with %d repetitions, want one notification under one id", got, repeated)
	}
	eventually(t, func() (string, bool) {
		all, err := n.Rules().History(t.Context(), project, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for _, h := range all {
			if h.Delivery != nil && strings.Contains(h.Delivery.Error, "503") {
				refused++
			}
		}
		return fmt.Sprintf("%d refusals in the history", refused), refused == 2
	})
}

func TestMutedAlarmsTellNobody(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	r := w.alarm(n, nil)
	if _, err := n.Rules().MuteAlarm(t.Context(), project, r.ID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.backlog.Store(11)
	eventually(t, func() (string, bool) {
		_, s, err := n.Rules().Alarm(t.Context(), project, r.ID)
		return fmt.Sprintf("%+v, %v", s, err), err == nil && len(s.Firing()) == 1
	})
	if got, _ := w.told(); got != "" {
		t.Errorf("told %q while muted", got)
	}
	if _, err := n.Rules().MuteAlarm(t.Context(), project, r.ID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.await("firing")
}

func TestAlertmanagerHearsOfTheBeginningAndOfTheEnd(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var last []alert
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var all []alert
		if err := json.NewDecoder(r.Body).Decode(&all); err != nil || r.URL.Path != "/api/v2/alerts" {
			t.Errorf("%s: %v", r.URL, err)
		}
		mu.Lock()
		last = all
		mu.Unlock()
	}))
	t.Cleanup(server.Close)
	m, err := NewAlertmanager(server.URL+"/", every)
	if err != nil {
		t.Fatal(err)
	}
	n := w.node("n1", func(o *Options) { o.Alertmanager = m })
	w.alarm(n, func(r *alarm.Rule) { r.Webhooks = nil })
	state := func(ended bool) func() (string, bool) {
		return func() (string, bool) {
			mu.Lock()
			defer mu.Unlock()
			ok := len(last) == 1 && last[0].Labels["queue"] == "orders" && last[0].Labels["group_id"] == string(groupID) &&
				last[0].EndsAt.Before(time.Now()) == ended
			return fmt.Sprintf("%+v", last), ok
		}
	}
	w.backlog.Store(11)
	eventually(t, state(false))
	w.backlog.Store(0)
	eventually(t, state(true))
}

func TestAnEvaluationThatIsNotOnRecordTellsNobody(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	w.alarm(n, nil)
	eventually(t, func() (string, bool) { return "nobody watches", n.Latest() != nil })
	w.m.setFail(func(key string) error {
		if strings.HasPrefix(key, "state.") {
			return errDown
		}
		return nil
	})
	w.backlog.Store(11)
	before := n.LostPasses()
	eventually(t, func() (string, bool) { return "no pass fails", n.LostPasses() > before+3 })
	if got, _ := w.told(); got != "" {
		t.Errorf("told %q before it was on record", got)
	}
	w.m.setFail(nil)
	w.await("firing")
}
