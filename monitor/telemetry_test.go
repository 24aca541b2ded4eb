package monitor_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dms/monitor"
)

func start(t *testing.T, node string) *monitor.Telemetry {
	t.Helper()
	tel, err := monitor.Start(monitor.Options{Node: node, Version: "v1.2.3", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

func scrape(t *testing.T, tel *monitor.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// line returns the first sample that has all the parts.
func line(t *testing.T, text string, parts ...string) string {
	t.Helper()
next:
	for l := range strings.Lines(text) {
		for _, p := range parts {
			if !strings.Contains(l, p) {
				continue next
			}
		}
		return strings.TrimSpace(l)
	}
	t.Fatalf("no sample with %q in:\n%s", parts, text)
	return ""
}

func TestRequestsAreMeasuredByRoute(t *testing.T) {
	tel := start(t, "n1")
	requests, err := tel.Requests()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		requests.Record(t.Context(), monitor.Request{Method: "GET", Route: "/v2/{project_id}/queues", Status: 200, Duration: 3 * time.Millisecond})
	}
	requests.Record(t.Context(), monitor.Request{Method: "BREW", Status: 503, TLS: true, Code: "DMS.10250005", Duration: time.Second})

	text := scrape(t, tel)
	if l := line(t, text, "http_server_request_duration_seconds_count", `http_route="/v2/{project_id}/queues"`, `http_request_method="GET"`,
		`http_response_status_code="200"`, `url_scheme="http"`); !strings.HasSuffix(l, " 2") {
		t.Errorf("two requests were counted as %s", l)
	}
	failed := line(t, text, "http_server_request_duration_seconds_count", `http_request_method="_OTHER"`, `url_scheme="https"`,
		`error_type="503"`, `dms_error_code="DMS.10250005"`)
	if strings.Contains(failed, "http_route") {
		t.Errorf("an unknown URL has a route: %s", failed)
	}
	if l := line(t, text, "http_server_request_duration_seconds_bucket", `http_route="/v2/`, `le="0.005"`); !strings.HasSuffix(l, " 2") {
		t.Errorf("requests of 3 ms are not in the bucket of 5 ms: %s", l)
	}
}

func TestMetricsNameTheNodeAndTheProcess(t *testing.T) {
	text := scrape(t, start(t, "n7"))
	line(t, text, "target_info", `service_instance_id="n7"`, `service_name="dms"`, `service_version="v1.2.3"`)
	line(t, text, "go_goroutines ")
	line(t, text, "process_start_time_seconds ")
}

// Two nodes in one process share nothing.
func TestNodesKeepTheirMetricsApart(t *testing.T) {
	one, two := start(t, "n1"), start(t, "n2")
	requests, err := one.Requests()
	if err != nil {
		t.Fatal(err)
	}
	requests.Record(t.Context(), monitor.Request{Method: "GET", Route: "/x", Status: 200})
	if text := scrape(t, two); strings.Contains(text, "http_server_request_duration") {
		t.Errorf("a request to one node is counted by the other:\n%s", text)
	}
	line(t, scrape(t, one), "http_server_request_duration_seconds_count")
}

func TestTelemetryCanBeStoppedTwice(t *testing.T) {
	tel := start(t, "n1")
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTelemetryRefusesToStartWithoutANode(t *testing.T) {
	if _, err := monitor.Start(monitor.Options{Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("started without a node name")
	}
}
