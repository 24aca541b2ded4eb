package deploy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/tenancy"

	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// process runs a program until the test ends and returns its address, once it listens
// there.
func process(t *testing.T, name string, args func(address string) []string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing (Debian: apt-get install prometheus prometheus-alertmanager)", name)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args(address)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.String())
		}
	})
	within(t, name, func() (string, bool) {
		res, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err.Error(), false
		}
		defer res.Body.Close()
		return res.Status, res.StatusCode == http.StatusOK
	})
	return "http://" + address
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// pushed is an OTLP receiver.
type pushed struct {
	*httptest.Server
	mu      sync.Mutex
	metrics map[string]bool
	nodes   map[string]bool
	spans   []*tracepb.Span
}

func newPushed(t *testing.T) *pushed {
	p := &pushed{metrics: make(map[string]bool), nodes: make(map[string]bool)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			in = z
		}
		body, err := io.ReadAll(in)
		if err != nil {
			return // the sender was stopped
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		switch r.URL.Path {
		case "/v1/metrics":
			var m metricspb.ExportMetricsServiceRequest
			if err := proto.Unmarshal(body, &m); err != nil {
				t.Error(err)
			}
			for _, resource := range m.ResourceMetrics {
				for _, a := range resource.Resource.Attributes {
					if a.Key == "service.instance.id" {
						p.nodes[a.Value.GetStringValue()] = true
					}
				}
				for _, scope := range resource.ScopeMetrics {
					for _, one := range scope.Metrics {
						p.metrics[one.Name] = true
					}
				}
			}
		case "/v1/traces":
			var s collectorpb.ExportTraceServiceRequest
			if err := proto.Unmarshal(body, &s); err != nil {
				t.Error(err)
			}
			for _, resource := range s.ResourceSpans {
				for _, scope := range resource.ScopeSpans {
					p.spans = append(p.spans, scope.Spans...)
				}
			}
		default:
			t.Errorf("something is pushed to %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(p.Close)
	return p
}

// span returns the spans whose names begin like this, in the trace.
func (p *pushed) find(name, trace string) (found []*tracepb.Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spans {
		if strings.HasPrefix(s.Name, name) && (trace == "" || hex.EncodeToString(s.TraceId) == trace) {
			found = append(found, s)
		}
	}
	return found
}

// A real Prometheus, a real Alertmanager and a receiver of OTLP watch three nodes.
func TestTheServiceIsSeenByWhatOperatorsUse(t *testing.T) {
	folder := t.TempDir()
	received := newPushed(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.URL)
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
	var told sync.Map // bodies that the Alertmanager sent on, by status
	pager := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Status string }
		if err := json.NewDecoder(r.Body).Decode(&m); err == nil {
			told.Store(m.Status, true)
		}
	}))
	t.Cleanup(pager.Close)
	manager := process(t, "prometheus-alertmanager", func(address string) []string {
		return []string{
			"--config.file=" + write(t, filepath.Join(folder, "alertmanager.yml"), "route: {receiver: test, group_wait: 0s, group_interval: 1s, group_by: ['...']}\n"+
				"receivers: [{name: test, webhook_configs: [{url: '"+pager.URL+"'}]}]\n"),
			"--storage.path=" + filepath.Join(folder, "am"), "--web.listen-address=" + address, "--cluster.listen-address=",
		}
	})
	var logged deploytest.Log
	log, err := deploy.NewLogger(deploy.LogOptions{Level: "info", Format: "json"}, &logged)
	if err != nil {
		t.Fatal(err)
	}
	c := deploytest.StartLogged(t, log, watched, func(o *deploy.Config) { o.Monitoring.AlertmanagerURL = manager })
	project := c.AccessKey(0).Project
	token := c.Token(t, project, tenancy.Manager)
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, token) }
	queue, group := makeQueue(via(0))
	h := newHook(t)
	var alarm created
	via(1).must(201, "POST", "/alarms", `{"name":"backlog","metric":"available_messages","comparison":">","threshold":20,
		"webhooks":[{"url":"`+h.URL+`","secret":"`+hookSecret+`"}]}`, &alarm)

	exported := get(t, via(0), "/alarms?format=prometheus")
	var targets []string
	for i := range deploytest.Size {
		targets = append(targets, "'"+c.Node(t, i).AdminAddr()+"'")
	}
	write(t, filepath.Join(folder, "rules.yml"), exported)
	config := write(t, filepath.Join(folder, "prometheus.yml"), "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"+
		"scrape_configs: [{job_name: dms, static_configs: [{targets: ["+strings.Join(targets, ", ")+"]}]}]\n")
	tool(t, folder, "promtool", "check", "rules", "rules.yml")
	prometheus := process(t, "prometheus", func(address string) []string {
		return []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(folder, "tsdb"), "--web.listen-address=" + address}
	})
	firing := func() (string, bool) {
		var a struct {
			Data struct {
				Alerts []struct {
					State  string
					Labels map[string]string
				}
			}
		}
		getJSON(t, prometheus+"/api/v1/alerts", &a)
		for _, one := range a.Data.Alerts {
			if one.State == "firing" && one.Labels["alarm_id"] == alarm.ID && one.Labels["queue"] == "orders" && one.Labels["group"] == "billing" {
				return "", true
			}
		}
		return fmt.Sprintf("%+v", a.Data.Alerts), false
	}
	managed := func(active bool) func() (string, bool) {
		return func() (string, bool) {
			var a []struct{ Labels map[string]string }
			getJSON(t, manager+"/api/v2/alerts?active=true", &a)
			return fmt.Sprint(a), (len(a) == 1 && a[0].Labels["alarm_id"] == alarm.ID) == active
		}
	}
	fill(via(2), queue, 30)
	h.await(t, "firing")
	within(t, "Prometheus fires", firing)
	within(t, "the Alertmanager knows", managed(true))
	within(t, "the Alertmanager tells", func() (string, bool) { _, ok := told.Load("firing"); return "nothing", ok })
	t.Run("traces", func(t *testing.T) { tracesGoThrough(t, c, received, &logged, project, token) })
	drainAll(via(1), group, 30)
	h.await(t, "firing resolved")
	within(t, "Prometheus resolves", func() (string, bool) { s, still := firing(); return s, !still })
	within(t, "the Alertmanager forgets", managed(false))

	t.Run("pushed metrics", func(t *testing.T) {
		within(t, "all nodes push", func() (string, bool) {
			received.mu.Lock()
			defer received.mu.Unlock()
			ok := len(received.nodes) == deploytest.Size
			for _, name := range []string{
				"http.server.request.duration", "messaging.client.operation.duration", "messaging.client.sent.messages",
				"messaging.client.consumed.messages", "dms.group.messages_available", "dms.node.raft.groups", "dms.project.quota",
			} {
				ok = ok && received.metrics[name]
			}
			return fmt.Sprint(received.nodes, received.metrics), ok
		})
	})
	t.Run("kit", func(t *testing.T) {
		all := ""
		for i := range deploytest.Size {
			all += scrapeNode(t, c.Node(t, i).AdminURL())
		}
		checkKit(t, all)
	})
}

// A send goes on with the caller's trace, and the consume links to the send, through
// another node.
func tracesGoThrough(t *testing.T, c *deploytest.Cluster, received *pushed, logged *deploytest.Log, project tenancy.ProjectID, token string) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	caller := newCaller(t, c.URL(t, 0), project, token)
	var q created
	caller.must(201, "POST", "/queues", `{"name":"traced"}`, &q)
	var g struct{ Groups []created }
	caller.must(201, "POST", "/queues/"+q.ID+"/groups", `{"groups":[{"name":"traced"}]}`, &g)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, caller.base+"/queues/"+q.ID+"/messages", strings.NewReader(`{"messages":[{"body":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	res, err := caller.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("the send answers %s, %v", res.Status, err)
	}
	drainAll(newCaller(t, c.URL(t, 1), project, token), "/queues/"+q.ID+"/groups/"+g.Groups[0].ID, 1)
	within(t, "spans", func() (string, bool) {
		server, send := received.find("POST /v2/{project}/queues/{queue}/messages", trace), received.find("send "+q.ID, trace)
		receive := received.find("receive "+q.ID, "")
		state := fmt.Sprintf("%d of requests, %d of sends, %d of consumes", len(server), len(send), len(receive))
		if len(server) != 1 || len(send) != 1 || len(receive) != 1 {
			return state, false
		}
		if hex.EncodeToString(server[0].ParentSpanId) != "b7ad6b7169203331" || !bytes.Equal(send[0].ParentSpanId, server[0].SpanId) {
			t.Error("the send does not go on with the caller's trace")
		}
		links := receive[0].Links
		if len(links) != 1 || !bytes.Equal(links[0].SpanId, send[0].SpanId) || !bytes.Equal(links[0].TraceId, send[0].TraceId) {
			t.Errorf("the consume links to %v", links)
		}
		return state, true
	})
	within(t, "a line of the log", func() (string, bool) {
		return "none", strings.Contains(logged.String(), `"trace_id":"`+trace+`"`)
	})
}

// get returns the text of an answer.
func get(t *testing.T, c *caller, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", c.token)
	res, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s, %v", path, res.Status, err)
	}
	return string(text)
}
