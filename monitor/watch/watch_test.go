package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/history"
	"dms/monitor/webhook"
	"dms/tenancy"
	"dms/tenancy/seal"
)

const (
	project = tenancy.ProjectID("0123456789abcdef0123456789abcdef")
	queueID = dms.QueueID("9bf46390-38a2-462d-b392-4d5b2d519c55")
	groupID = dms.GroupID("g-5ec247fd-d4a2-4d4f-9876-e4ff3280c461")
	secret  = "a secret of enough bytes"
	every   = 5 * time.Millisecond
)

// world is one project with one group whose backlog a test sets.
type world struct {
	t       *testing.T
	m       *memory
	backlog atomic.Int64
	blind   atomic.Bool // nothing can be collected

	hook *httptest.Server
	mu   sync.Mutex
	got  []received
	says func(received) int // the status to answer with
}

// received is a notification as the receiver sees it.
type received struct {
	id, kind string
	value    float64
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, m: newMemory()}
	w.hook = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.hook.Close)
	return w
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	h := r.Header
	if h.Get("Webhook-Signature") != webhook.Sign([]byte(secret), h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), body) {
		w.t.Error("the signature is wrong")
	}
	var e struct {
		ID, Type string
		Data     struct{ Value float64 }
	}
	if err := json.Unmarshal(body, &e); err != nil || e.ID != h.Get("Webhook-Id") {
		w.t.Errorf("body %s: %v", body, err)
	}
	one := received{e.ID, strings.TrimPrefix(e.Type, "dms.alarm."), e.Data.Value}
	w.mu.Lock()
	says := w.says
	w.got = append(w.got, one)
	w.mu.Unlock()
	if says != nil {
		rw.WriteHeader(says(one))
	}
}

// told is what has been received, each id once, and how often ids were repeated.
func (w *world) told() (kinds string, repeated int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all, ids []string
	for _, r := range w.got {
		if slices.Contains(ids, r.id) {
			repeated++
			continue
		}
		ids, all = append(ids, r.id), append(all, r.kind)
	}
	return strings.Join(all, " "), repeated
}

// Collect implements Collector.
func (w *world) Collect(context.Context) (Collected, error) {
	if w.blind.Load() {
		return Collected{}, errDown
	}
	n := w.backlog.Load()
	q := dms.QueueFigures{
		Ref: dms.QueueRef{Project: project, Queue: queueID}, Name: "orders", Complete: true, Messages: n, First: 1, Last: uint64(n),
		Groups: []dms.GroupFigures{{ID: groupID, Name: "billing", Available: n}},
	}
	return Collected{At: time.Now(), Projects: []Project{{Project: tenancy.Project{ID: project}, Queues: []dms.QueueFigures{q}}}}, nil
}

// node starts a node that watches; change may alter its options.
func (w *world) node(name string, change func(*Options)) *Watch {
	w.t.Helper()
	allowed, err := webhook.ParseAllowed("http://127.0.0.1")
	if err != nil {
		w.t.Fatal(err)
	}
	o := Options{
		Node: name, Records: w.m, Journal: w.m, History: history.New(w.m, newMemory()), Collector: w,
		Sender: webhook.New(webhook.Options{Allowed: []webhook.Allowed{allowed}}), Keys: []seal.Key{{ID: 1, Secret: [32]byte{1}}},
		SampleEvery: every, LeaseEvery: every, MostAlarms: 3, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	n, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stop(w.t, n) })
	return n
}

func stop(t *testing.T, n *Watch) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}

// alarm makes an alarm that fires above 10 at once.
func (w *world) alarm(n *Watch, change func(*alarm.Rule)) alarm.Rule {
	w.t.Helper()
	r := alarm.Rule{
		Name: "backlog", Metric: "available_messages", Comparison: alarm.Above, Threshold: 10, Severity: alarm.Major,
		Webhooks: []alarm.Webhook{{URL: w.hook.URL, Secret: secret}},
	}
	if change != nil {
		change(&r)
	}
	made, err := n.Rules().CreateAlarm(w.t.Context(), project, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) await(want string) {
	w.t.Helper()
	eventually(w.t, func() (string, bool) {
		got, _ := w.told()
		return fmt.Sprintf("told %q, want %q", got, want), got == want
	})
}
