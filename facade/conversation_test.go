package facade_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dms/facade"
	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

func TestRequestIDs(t *testing.T) {
	s := serve(t, stocked(), nil)
	for given, kept := range map[string]bool{
		"":                       false,
		"12345678":               true,
		"a.b_c-D0":               true,
		strings.Repeat("x", 64):  true,
		"1234567":                false,
		strings.Repeat("x", 65):  false,
		"12345678 injected=true": false,
		"12345678é":              false,
		"<script>alert(1)":       false,
	} {
		for _, path := range []string{base + "/queues", base + "/queues?include_deadletter=x", "/nowhere"} {
			got := s.with(s.plain, "GET", path, "", "X-Request-Id", given)
			id := got.header.Get("X-Request-Id")
			if kept && id != given {
				t.Errorf("%q is answered with %q", given, id)
			}
			if !kept && !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("%q is answered with %q, want a new UUID", given, id)
			}
			if got.status >= 400 && !strings.Contains(got.body, `"request_id":"`+id+`"`) {
				t.Errorf("the error %s does not tell the ID %s", got.body, id)
			}
		}
	}
}

func TestUnknownURLsAndMethods(t *testing.T) {
	s := serve(t, &fake{}, nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v2", 404, ""},
		{"GET", "/v3/" + project + "/queues", 404, ""},
		{"GET", base + "/queues/", 404, ""},
		{"GET", base + "/queuess", 404, ""},
		{"POST", "/v2/" + project + "//queues", 404, ""},
		{"GET", groupPath, 405, "DELETE"},
		{"PUT", base + "/queues", 405, "GET, POST"},
		{"HEAD", queuePath, 405, "DELETE, GET, PATCH"},
		{"OPTIONS", base + "/queues", 405, "GET, POST"},
		{"PATCH", base + "/queues", 405, "GET, POST"},
		{"BREW", queuePath, 405, "DELETE, GET, PATCH"},
		{"GET", "/v3.0/OS-AUTH/id-token/tokens", 405, "POST"},
	} {
		got := s.with(s.plain, c.method, c.path, "", "X-Auth-Token", "")
		if got.status != c.status || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d, Allow %q, want %d, %q", c.method, c.path, got.status, got.header.Get("Allow"), c.status, c.allow)
		}
		if c.method != "HEAD" {
			onlyStrings(t, got.body)
			if got.code() != "DMS.10240406" {
				t.Errorf("%s %s: code %s", c.method, c.path, got.code())
			}
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	s := serve(t, stocked(), nil)
	for _, path := range []string{base + "/queues", queuePath + "?include_deadletter=x", "/nowhere", "/openapi.yaml"} {
		got := s.with(s.plain, "GET", path, "")
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers are %v", path, got.header)
		}
	}
}

func TestEncodedBodiesAreRefused(t *testing.T) {
	s := serve(t, stocked(), nil)
	for encoding, status := range map[string]int{"gzip": 415, "x": 415, "identity": 201, "Identity": 201} {
		got := s.do("POST", base+"/queues", `{"name":"q"}`, "Content-Encoding", encoding)
		if got.status != status {
			t.Errorf("%s: got %d %s, want %d", encoding, got.status, got.body, status)
		}
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	f := stocked()
	f.queue = func(context.Context, dms.QueueRef) (dms.Queue, error) { panic("secret state") }
	s := serve(t, f, nil)
	got := s.do("GET", queuePath, "")
	if got.status != 500 || got.code() != "DMS.10250003" || strings.Contains(got.body, "secret") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if log := s.log.String(); !strings.Contains(log, "secret state") || !strings.Contains(log, "goroutine") || !strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log is %s", log)
	}
	if got := s.do("GET", base+"/queues", ""); got.status != 200 {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
}

// TestOneLinePerRequest checks what the log tells, and that it tells no secret.
func TestOneLinePerRequest(t *testing.T) {
	var mu sync.Mutex
	var observed []facade.Observation
	f := stocked()
	f.acknowledge = func(context.Context, dms.GroupRef, dms.Kind, []dms.Ack) (int, error) {
		return 0, dms.Wrap(dms.Unavailable, context.DeadlineExceeded)
	}
	s := serve(t, f, func(o *facade.Options, _ *http.Server) {
		o.Observe = func(_ context.Context, seen facade.Observation) {
			mu.Lock()
			defer mu.Unlock()
			observed = append(observed, seen)
		}
	})
	sent := s.do("POST", queuePath+"/messages?x=canary-query", `{"messages":[{"body":"canary-body"}]}`, "X-Request-Id", "request-1", "Idempotency-Key", "canary-key")
	acked := s.do("POST", groupPath+"/ack", `{"message":[{"handler":"canary-handler"}]}`, "X-Request-Id", "request-2")
	lost := s.with(s.plain, "GET", "/v2/canary-path", "", "X-Request-Id", "request-3", "X-Auth-Token", "canary-token")
	s.server.Close() // waits for the requests to end, their lines included

	var got []map[string]any
	for line := range strings.Lines(s.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		delete(entry, "time")
		if _, ok := entry["duration"].(float64); !ok {
			t.Errorf("no duration in %s", line)
		}
		delete(entry, "duration")
		got = append(got, entry)
	}
	want := []map[string]any{
		{
			"level": "INFO", "msg": "request", "component": "facade", "request_id": "request-1", "method": "POST",
			"route": "/v2/{project}/queues/{queue}/messages", "status": 201.0, "project": project, "bytes_in": 37.0, "bytes_out": float64(len(sent.body)),
		},
		{
			"level": "WARN", "msg": "request", "component": "facade", "request_id": "request-2", "method": "POST",
			"route": "/v2/{project}/queues/{queue}/groups/{group}/ack", "status": 503.0, "project": project, "bytes_in": 42.0, "bytes_out": float64(len(acked.body)),
			"code": "DMS.10250005", "cause": "context deadline exceeded",
		},
		{
			"level": "INFO", "msg": "request", "component": "facade", "request_id": "request-3", "method": "GET",
			"route": "", "status": 404.0, "project": "", "bytes_in": 0.0, "bytes_out": float64(len(lost.body)), "code": "DMS.10240406",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log lines (-want +got):\n%s", diff)
	}
	if strings.Contains(s.log.String(), "canary") {
		t.Errorf("the log tells secrets: %s", s.log)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(observed) != 3 || observed[1].Status != 503 || observed[1].Code != "DMS.10250005" || observed[0].Sent != int64(len(sent.body)) || observed[0].Project != project || observed[2].Route != "" {
		t.Errorf("observed %+v", observed)
	}
}

func TestAFullNodeRefusesAtOnce(t *testing.T) {
	var parked atomic.Int64
	f := stocked()
	f.receive = waiting(&parked)
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Capacity.Polls = 4 })
	const share = 3 // of one project
	answers := make(chan answer, share)
	for range share {
		go func() { answers <- s.do("GET", groupPath+"/messages?time_wait=60", "") }() // received below
	}
	eventually(t, func() (string, bool) {
		return "not all are waiting", parked.Load() == share
	})
	got := s.do("GET", groupPath+"/deadletters?time_wait=60", "")
	if got.status != 429 || got.code() != "DMS.10240407" || got.header.Get("Retry-After") == "" {
		t.Errorf("one more of the project: got %d %s", got.status, got.body)
	}
	if got := s.do("POST", groupPath+"/ack", `{"message":[{"handler":"h"}]}`); got.status != 200 {
		t.Errorf("an acknowledgement meanwhile: got %d %s", got.status, got.body)
	}
	s.api.Drain()
	for range share {
		if got := <-answers; got.status != 200 {
			t.Errorf("a waiting poll: got %d %s", got.status, got.body)
		}
	}
}

func TestAnotherProjectIsRefusedOnlyByAFullNode(t *testing.T) {
	var parked atomic.Int64
	f := stocked()
	f.receive = waiting(&parked)
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Capacity.Polls = 1 })
	answers := make(chan answer, 1)
	go func() { answers <- s.do("GET", groupPath+"/messages?time_wait=60", "") }() // received below
	eventually(t, func() (string, bool) { return "it is not waiting", parked.Load() == 1 })
	other := strings.Replace(groupPath, project, foreign, 1) + "/messages"
	got := s.do("GET", other, "", "X-Auth-Token", "stranger")
	if got.status != 503 || got.code() != "DMS.10250005" || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	s.api.Drain()
	<-answers
	if got := s.do("GET", other, "", "X-Auth-Token", "stranger"); got.status != 200 {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
}

// TestBodiesOfUnknownLength sends chunks: as much as the route takes, and more.
func TestBodiesOfUnknownLength(t *testing.T) {
	s := serve(t, stocked(), nil)
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{`{"name":"q"}` + strings.Repeat(" ", 64<<10-12), 201, ""},
		{`{"name":"q"}` + strings.Repeat(" ", 64<<10-11), 400, "DMS.10240009"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.server.URL+base+"/queues", io.MultiReader(strings.NewReader(c.body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", "manager")
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := (answer{res.StatusCode, res.Header, string(body)}); err != nil || got.status != c.status || got.code() != c.code {
			t.Errorf("%d bytes: got %d %s (%v), want %d %s", len(c.body), got.status, got.body, err, c.status, c.code)
		}
	}
}

// TestABodyThatEndsEarly announces more than it sends.
func TestABodyThatEndsEarly(t *testing.T) {
	f := stocked()
	s := serve(t, f, nil)
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	head := "POST " + base + "/queues HTTP/1.1\r\nHost: dms.test\r\nX-Auth-Token: manager\r\nContent-Length: 100\r\n\r\n"
	if _, err := io.WriteString(conn, head+`{"name":"q"}`); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 400 || f.called() != "" {
		t.Errorf("status %d, calls %q; want 400 and none", res.StatusCode, f.called())
	}
}

func TestOperationsHaveADeadline(t *testing.T) {
	var left time.Duration
	f := stocked()
	f.queues = func(ctx context.Context, _ tenancy.ProjectID) ([]dms.Queue, error) {
		if deadline, ok := ctx.Deadline(); ok {
			left = time.Until(deadline)
		}
		id, ok := tenancy.FromContext(ctx)
		if !ok || id.Subject != "alice" {
			t.Errorf("the context carries caller %+v, %v", id, ok)
		}
		return nil, nil
	}
	s := serve(t, f, nil)
	s.do("GET", base+"/queues", "")
	if left < 12*time.Second || left > 30*time.Second {
		t.Errorf("the deadline is %v away; a change of leader takes up to 12 s, a client waits for 60 s at most", left)
	}
}
