package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/monitor/webhook"
	"dms/tenancy"
)

// watched lets a cluster sample often, and notify on this machine.
func watched(o *deploy.Config) {
	o.Monitoring.SampleEvery, o.Monitoring.LeaseEvery = 500*time.Millisecond, 300*time.Millisecond
	o.Monitoring.WebhookAllow = []string{"http://127.0.0.0/8"}
}

// within polls until done reports success, and fails with its last words after a minute.
func within(t *testing.T, what string, done func() (state string, ok bool)) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := done()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: it did not happen in time; last: %s", what, state)
		case <-tick.C:
		}
	}
}

// fill sends messages to a queue.
func fill(c *caller, queue string, n int) {
	c.t.Helper()
	for n > 0 {
		size := min(n, 10)
		c.must(201, "POST", queue+"/messages", `{"messages":[`+strings.Repeat(`{"body":"some text"},`, size-1)+`{"body":"more text"}]}`, nil)
		n -= size
	}
}

// drainAll consumes and acknowledges until as many messages as given have come.
func drainAll(c *caller, group string, n int) {
	c.t.Helper()
	for n > 0 {
		var got []struct{ Handler string }
		c.must(200, "GET", group+"/messages?time_wait=5", "", &got)
		if len(got) == 0 {
			c.t.Fatalf("%d messages do not come", n)
		}
		var acks []string
		for _, m := range got {
			acks = append(acks, `{"handler":"`+m.Handler+`","status":"success"}`)
		}
		c.must(200, "POST", group+"/ack", `{"message":[`+strings.Join(acks, ",")+`]}`, nil)
		n -= len(got)
	}
}

const hookSecret = "a secret of enough bytes"

// hook receives notifications.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // kinds, each notification once
	ids  map[string]int
}

func newHook(t *testing.T) *hook {
	h := &hook{ids: make(map[string]int)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		id := r.Header.Get("Webhook-Id")
		if r.Header.Get("Webhook-Signature") != webhook.Sign([]byte(hookSecret), id, r.Header.Get("Webhook-Timestamp"), body) {
			t.Error("the signature is wrong")
		}
		var e struct{ Type string }
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.ids[id]++; h.ids[id] == 1 {
			h.seen = append(h.seen, strings.TrimPrefix(e.Type, "dms.alarm."))
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.seen, " ")
}

func (h *hook) await(t *testing.T, want string) {
	t.Helper()
	within(t, "notifications", func() (string, bool) { got := h.heard(); return fmt.Sprintf("%q, want %q", got, want), got == want })
}

// series is the answer to a question about metrics.
type series struct {
	Series []struct {
		Metric  string
		GroupID string `json:"group_id"`
		Points  []struct {
			Timestamp int64
			Value     *float64
		}
	}
}

// latest is the newest known value of a metric, and how many points are known.
func (s series) latest(metric string) (last *float64, known int) {
	for _, one := range s.Series {
		if one.Metric != metric {
			continue
		}
		for _, p := range one.Points {
			if p.Value != nil {
				last = p.Value
				known++
			}
		}
	}
	return last, known
}

func value(v *float64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

// Alarms, histories and gauges go on through the death of the node that watches.
func TestQueuesAreWatchedThroughTheDeathOfANode(t *testing.T) {
	c := deploytest.StartLogged(t, slog.New(slog.DiscardHandler), watched)
	project := c.AccessKey(0).Project
	token := c.Token(t, project, tenancy.Manager)
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, token) }
	queue, group := makeQueue(via(0))
	var fifo created
	via(0).must(201, "POST", "/queues", `{"name":"ordered","queue_mode":"FIFO"}`, &fifo)
	via(0).must(201, "POST", "/queues/"+fifo.ID+"/groups", `{"groups":[{"name":"readers"}]}`, nil)
	fill(via(1), "/queues/"+fifo.ID, 7)

	h := newHook(t)
	var alarm created
	via(1).must(201, "POST", "/alarms", `{"name":"backlog","metric":"available_messages","comparison":">","threshold":20,"for_seconds":1,
		"queue_id":"`+strings.TrimPrefix(queue, "/queues/")+`","webhooks":[{"url":"`+h.URL+`","secret":"`+hookSecret+`"}]}`, &alarm)
	fill(via(2), queue, 30)
	h.await(t, "firing")

	// The node that watches dies, and somebody else takes over.
	leader := -1
	within(t, "one node watches", func() (string, bool) {
		var watching []int
		for i := range deploytest.Size {
			if gauge(t, c, i, "dms_monitor_watching") == "1" {
				watching = append(watching, i)
			}
		}
		if len(watching) == 1 {
			leader = watching[0]
		}
		return fmt.Sprint(watching), len(watching) == 1
	})
	if text := scrapeNode(t, c.Node(t, leader).AdminURL()); !strings.Contains(text, `dms_group_messages_available{`) {
		t.Errorf("the node that watches exports no groups:\n%s", text)
	}
	c.Member(t, leader).Abort()
	c.Stop(t, leader)
	other := (leader + 1) % deploytest.Size
	drainAll(via(other), group, 30)
	h.await(t, "firing resolved")

	// What was sampled before is still there, and the other queue was never forgotten.
	var s series
	since := strconv.FormatInt(time.Now().Add(-15*time.Minute).UnixMilli(), 10)
	within(t, "history", func() (string, bool) {
		via(other).must(200, "GET", "/metrics?metric=available_messages,consumed_messages,produced_messages&step=1&from="+since+"&queue="+strings.TrimPrefix(queue, "/queues/"), "", &s)
		available, known := s.latest("available_messages")
		consumed, _ := s.latest("consumed_messages")
		return fmt.Sprintf("%s available, %s consumed, %d points", value(available), value(consumed), known),
			known > 3 && consumed != nil && *consumed == 30
	})
	most := 0.0
	for _, one := range s.Series {
		for _, p := range one.Points {
			if one.Metric == "available_messages" && p.Value != nil {
				most = max(most, *p.Value)
			}
		}
	}
	if most <= 20 {
		t.Errorf("the most that was ever available is %v: samples of the dead node are lost", most)
	}
	var past struct {
		History []struct {
			Change *struct{ To string }
		}
	}
	via(other).must(200, "GET", "/alarms/"+alarm.ID+"/history", "", &past)
	var turns []string
	for i := len(past.History) - 1; i >= 0; i-- {
		if past.History[i].Change != nil {
			turns = append(turns, past.History[i].Change.To)
		}
	}
	if got := strings.Join(turns, " "); got != "pending firing ok" {
		t.Errorf("the history of the alarm is %q", got)
	}
	// Another project sees nothing of it.
	foreign := c.AccessKey(1).Project
	stranger := newCaller(t, c.URL(t, other), foreign, c.Token(t, foreign, tenancy.Manager))
	if status := stranger.do("GET", "/alarms/"+alarm.ID, "", nil); status != 404 {
		t.Errorf("another project's manager gets %d for the alarm", status)
	}
	var none series
	stranger.must(200, "GET", "/metrics?metric=available_messages", "", &none)
	if len(none.Series) != 0 {
		t.Errorf("another project has %d series", len(none.Series))
	}
}

func scrapeNode(t *testing.T, admin string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gauge is the value of a metric without labels at a node.
func gauge(t *testing.T, c *deploytest.Cluster, node int, name string) string {
	t.Helper()
	for line := range strings.Lines(scrapeNode(t, c.Node(t, node).AdminURL())) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
