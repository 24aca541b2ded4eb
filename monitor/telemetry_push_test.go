package monitor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/monitor"
	"dms/monitor/sample"
	"dms/monitor/watch"
	"dms/tenancy"

	"go.opentelemetry.io/otel/trace"
)

const (
	project = tenancy.ProjectID("0123456789abcdef0123456789abcdef")
	queueID = dms.QueueID("9bf46390-38a2-462d-b392-4d5b2d519c55")
	groupID = dms.GroupID("g-5ec247fd-d4a2-4d4f-9876-e4ff3280c461")
)

func aQueue() dms.QueueRef { return dms.QueueRef{Project: project, Queue: queueID} }
func aGroup() dms.GroupRef { return dms.GroupRef{QueueRef: aQueue(), Group: groupID} }

// moved is Messages that answer what a test wants.
type moved struct {
	err        error
	deliveries int
	settled    int
	sent       dms.Send
}

func (m *moved) Send(_ context.Context, _ dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
	m.sent = s
	all := make([]dms.Sent, len(s.Messages))
	if len(all) > 1 {
		all[1].Err = &dms.Error{Code: dms.MessageTooBig}
	}
	return all, m.err
}

func (m *moved) Receive(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
	return dms.Batch{Deliveries: make([]dms.Delivery, m.deliveries)}, m.err
}

func (m *moved) Acknowledge(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (int, error) {
	return m.settled, m.err
}

func TestWhatPassesIsMeasuredAndCounted(t *testing.T) {
	tel := start(t, "n1")
	m := &moved{deliveries: 3, settled: 1}
	var traffic sample.Traffic
	measured, err := tel.Measure(m, &traffic)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := measured.Send(ctx, aQueue(), dms.Send{Messages: []dms.Message{{Payload: make([]byte, 100)}, {Payload: make([]byte, 50)}}}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []dms.Kind{dms.Live, dms.Dead} {
		if _, err := measured.Receive(ctx, aGroup(), dms.Receive{Kind: kind}); err != nil {
			t.Fatal(err)
		}
		if _, err := measured.Acknowledge(ctx, aGroup(), kind, []dms.Ack{{Success: true}, {}, {}}); err != nil {
			t.Fatal(err)
		}
	}
	m.err = dms.Errorf(dms.QueueNotFound, "it is gone")
	if _, err := measured.Send(ctx, aQueue(), dms.Send{Messages: make([]dms.Message, 1)}); !errors.Is(err, m.err) {
		t.Errorf("the error is %v", err)
	}
	text := scrape(t, tel)
	for parts, want := range map[string]string{
		`messaging_client_sent_messages_total{ messaging_destination_name="` + string(queueID): " 1",
		`messaging_client_consumed_messages_total{ messaging_consumer_group_name="`:            " 6",
		`messaging_client_operation_duration_seconds_count messaging_operation_type="settle"`:  " 2",
		`messaging_client_operation_duration_seconds_count error_type="queue_not_found"`:       " 1",
	} {
		name, label, _ := strings.Cut(parts, " ")
		if l := line(t, text, name, label, `messaging_system="dms"`); !strings.HasSuffix(l, want) {
			t.Errorf("%s is %s, want%s", parts, l, want)
		}
	}
	got := make(map[dms.GroupID]sample.Counts)
	for _, c := range traffic.Counted(time.Now()) {
		got[c.Group] = c.Counts
	}
	if want := (sample.Counts{Requests: 6, Bytes: 100}); got[""] != want {
		t.Errorf("the queue counts %+v, want %+v", got[""], want)
	}
	if want := (sample.Counts{Delivered: 3, Settled: 1, Failed: 1, Polls: 2}); got[groupID] != want {
		t.Errorf("the group counts %+v, want %+v: dead letters are not consumed twice", got[groupID], want)
	}
	if m.sent.Messages[0].Trace != "" {
		t.Error("a message carries a trace although nobody traces")
	}
}

// starting returns the sample that starts like this.
func starting(t *testing.T, text, prefix string) string {
	t.Helper()
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, prefix) {
			return strings.TrimSpace(l)
		}
	}
	t.Fatalf("no sample starts with %s in:\n%s", prefix, text)
	return ""
}

// seen is the watching of one project with the given number of groups.
type seen struct{ latest *watch.Latest }

func (s *seen) Latest() *watch.Latest       { return s.latest }
func (s *seen) Deliveries() (a, f, g int64) { return 4, 3, 2 }
func (s *seen) LostPasses() int64           { return 1 }
func watching(groups int) *seen {
	f := sample.Frame{Project: project, At: time.Unix(1_800_000_000, 0)}
	for i := range groups {
		v := make([]int64, len(sample.Metrics(sample.Group)))
		for p := range v {
			v[p] = int64(i)
		}
		v[sample.TimeToDrain] = sample.Missing
		f.Rows = append(f.Rows, sample.Row{Key: sample.Key{Queue: queueID, Group: dms.NewGroupID()}, QueueName: "orders", GroupName: "billing", Values: v})
	}
	return &seen{&watch.Latest{
		At: f.At, Frames: []sample.Frame{f}, Took: 1500 * time.Millisecond, Missing: 1,
		Projects: []watch.Project{{Project: tenancy.Project{ID: project, Limits: tenancy.DefaultLimits()}, Used: 77}, {Project: tenancy.Project{ID: "unknown"}, Err: errors.New("x")}},
		Firing:   []watch.FiringCount{{Project: string(project), Severity: "major", Targets: 2}},
	}}
}

func TestFiguresAreExportedAndMissingOnesLeftOut(t *testing.T) {
	tel := start(t, "n1")
	w := watching(2)
	if err := tel.Watch(w); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, tel)
	for _, m := range sample.Metrics(sample.Group) {
		if m.ID == "time_to_drain" {
			continue
		}
		line(t, text, m.Prometheus+"{", `queue="orders"`, `group="billing"`, `project="`+string(project)+`"`)
	}
	if strings.Contains(text, "dms_group_time_to_drain_seconds{") {
		t.Error("a figure that is missing is exported")
	}
	if strings.Contains(text, `"unknown"`) {
		t.Error("a project of which nothing is known is exported")
	}
	for sampleLine, want := range map[string]string{
		"dms_project_stored_bytes{": " 77", "dms_alarm_firing{": " 2", "dms_monitor_watching ": " 1", "dms_monitor_pass_duration_seconds ": " 1.5",
		"dms_monitor_nodes_missing ": " 1", `dms_alarm_notifications_total{result="given_up"}`: " 2", "dms_monitor_passes_lost_total ": " 1",
		`dms_series_dropped{level="group"}`: " 0",
	} {
		if l := starting(t, text, sampleLine); !strings.HasSuffix(l, want) {
			t.Errorf("%s, want%s", l, want)
		}
	}
	w.latest = nil
	text = scrape(t, tel)
	if l := starting(t, text, "dms_monitor_watching "); !strings.HasSuffix(l, " 0") || strings.Contains(text, "dms_group_") {
		t.Errorf("a node that does not watch exports\n%s", text)
	}
}

func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	tel, err := monitor.Start(monitor.Options{Node: "n1", Series: 10, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tel.Watch(watching(30)); err != nil {
		t.Fatal(err)
	}
	measured, err := tel.Measure(&moved{}, &sample.Traffic{})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if _, err := measured.Send(t.Context(), dms.QueueRef{Project: project, Queue: dms.NewQueueID()}, dms.Send{Messages: make([]dms.Message, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, tel)
	if n := strings.Count(text, "\ndms_group_messages_available{"); n != 9 {
		t.Errorf("%d groups are exported, want the 9 with the most messages", n)
	}
	if l := starting(t, text, `dms_series_dropped{level="group"}`); !strings.HasSuffix(l, " 21") {
		t.Errorf("%s, want 21", l)
	}
	if strings.Contains(text, "dms_group_messages_available{") && !strings.Contains(text, "} 29\n") {
		t.Error("the largest group is not exported")
	}
	if n := strings.Count(text, "\nmessaging_client_sent_messages_total{"); n > 10 {
		t.Errorf("%d queues have series of their own, want at most 10", n)
	}
}

func TestTheStateOfTheNodeIsExported(t *testing.T) {
	tel := start(t, "n1")
	if err := tel.Node(func() monitor.Node {
		return monitor.Node{Ready: true, RaftGroups: 7, LedStreams: 2, Behind: 1, DiskFree: -1, StoreUsed: 5,
			Load: []monitor.Load{{Class: "polls", Running: 3, Capacity: 4096, RefusedNode: 6}}}
	}); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, tel)
	for name, want := range map[string]string{
		"dms_node_ready ": " 1", "dms_node_raft_groups ": " 7", `dms_node_raft_leaders{kind="queue"}`: " 2", `dms_node_replicas{state="behind"}`: " 1",
		"dms_node_store_used_bytes ": " 5", `dms_node_requests_running{class="polls"}`: " 3", `dms_node_requests_shed_total{class="polls",reason="node_full"}`: " 6",
	} {
		if l := starting(t, text, name); !strings.HasSuffix(l, want) {
			t.Errorf("%s, want%s", l, want)
		}
	}
	if strings.Contains(text, "dms_node_disk_free_bytes") {
		t.Error("the free space is exported although it is not known")
	}
}

func TestLogLinesNameTheTraceTheyBelongTo(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(monitor.TraceLog(slog.NewTextHandler(&b, nil))).With("component", "x").WithGroup("g")
	id, err := trace.TraceIDFromHex("0af7651916cd43dd8448eb211c80319c")
	if err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), span), "within")
	log.InfoContext(t.Context(), "without")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "trace_id="+id.String()) || strings.Contains(lines[1], "trace_id") {
		t.Errorf("the lines are %q", lines)
	}
}

// A collector that does not answer keeps no node from stopping.
func TestACollectorThatIsAwayDelaysNobody(t *testing.T) {
	away := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	url := away.URL
	away.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	tel, err := monitor.Start(monitor.Options{Node: "n1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	handler := tel.Trace(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trace.SpanContextFromContext(r.Context()).IsValid() {
			t.Error("the request has no span")
		}
		monitor.Request{Method: "GET", Route: "/x", Status: 500, Code: "c"}.End(r.Context())
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	if err := tel.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
