package facade_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/facade"
	"dms/facade/openapitest"
	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

// figures is what a project's queues are like; tests change it.
type figures struct {
	mu     sync.Mutex
	queues []dms.QueueFigures
	err    error
}

func (f *figures) Figures(context.Context, tenancy.ProjectID) ([]dms.QueueFigures, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]dms.QueueFigures(nil), f.queues...), f.err
}

func (f *figures) set(err error, queues ...dms.QueueFigures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queues, f.err = queues, err
}

const otherQueue = "1c1e3b54-7b3f-4f2e-8d3b-0d5b9e3a1f00"

func queueOf(id dms.QueueID, messages int64) dms.QueueFigures {
	return dms.QueueFigures{
		Ref: dms.QueueRef{Project: project, Queue: id}, Name: "orders", Mode: dms.Normal, Complete: true, Messages: messages, Bytes: 10 * messages, Last: uint64(messages),
		Groups: []dms.GroupFigures{{ID: dms.GroupID("g-" + id), Name: "billing", Available: messages, Oldest: time.Unix(1_800_000_000, 0)}},
	}
}

// events reads a stream.
type events struct {
	t      *testing.T
	body   *bufio.Reader
	cancel context.CancelFunc
}

type eventRead struct {
	name, id, data, comment string
}

// follow opens a stream as a viewer, unless the headers say otherwise.
func (s *service) follow(query string, headers ...string) (*events, answer) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+base+"/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	setHeaders(req, "viewer", headers)
	res, err := s.plain.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = res.Body.Close() })
	return &events{s.t, bufio.NewReader(res.Body), cancel}, answer{status: res.StatusCode, header: res.Header}
}

// next reads one event or comment; the empty one is the end. The server, or the end of
// the test, ends the wait.
func (e *events) next() (got eventRead) {
	e.t.Helper()
	for {
		line, err := e.body.ReadString('\n')
		if err != nil {
			return eventRead{}
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && got != (eventRead{}):
			e.described(got)
			return got
		case field == "event":
			got.name = value
		case field == "id":
			got.id = value
		case field == "data":
			got.data = value
		case field == "" && value != "":
			got.comment = value
		}
	}
}

// described checks the data of an event against the description of the API.
func (e *events) described(got eventRead) {
	e.t.Helper()
	if got.name == "" {
		return
	}
	doc, err := openapitest.Document()
	if err != nil {
		e.t.Fatal(err)
	}
	name := "Live" + strings.ToUpper(got.name[:1]) + got.name[1:]
	if got.name == "bye" {
		name = "LiveEnd"
	}
	schema := doc.Components.Schemas[name]
	var v any
	if schema == nil || json.Unmarshal([]byte(got.data), &v) != nil {
		e.t.Fatalf("event %q is not described, or is no JSON: %s", got.name, got.data)
	}
	if err := schema.Value.VisitJSON(v); err != nil {
		e.t.Errorf("event %s is not as described: %v", got.name, err)
	}
}

// until reads to an event that matches, and returns it and the last mark before.
func (e *events) until(name, part string) (got eventRead, mark string) {
	e.t.Helper()
	var last string
	for {
		got = e.next()
		if got == (eventRead{}) {
			e.t.Fatalf("the stream ends before %s with %s; the last event was %s", name, part, last)
		}
		last = got.name + " " + got.data
		if got.id != "" {
			mark = got.id
		}
		if got.name == name && strings.Contains(got.data, part) {
			return got, mark
		}
	}
}

func live(t *testing.T, change func(*facade.Options)) (*service, *figures) {
	t.Helper()
	f := &figures{}
	f.set(nil, queueOf(queueID, 3))
	return serve(t, &fake{tenants: []tenancy.Project{{ID: project}}}, func(o *facade.Options, _ *http.Server) {
		o.Figures = f
		if change != nil {
			change(o)
		}
	}), f
}

func TestEventsTellWhatIsThereAndWhatChanges(t *testing.T) {
	s, f := live(t, nil)
	e, a := s.follow("")
	if a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || a.header.Get("X-Accel-Buffering") != "no" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %v", a.status, a.header)
	}
	var first []string
	for range 4 {
		got := e.next()
		first = append(first, got.name+" "+got.data)
		if (got.id != "") != (len(first) == 4) {
			t.Errorf("event %d, %s, has the id %q: only the last of a batch has one", len(first), got.name, got.id)
		}
	}
	want := []string{
		`groups {"full":true,"changed":[{"id":"g-` + queueID + `","queue_id":"` + queueID + `","name":"billing","available_messages":3,"in_flight_messages":0,"dead_letters":0,"waiting_consumers":0,"oldest_message_at":"2027-01-15T08:00:00Z"}],"removed":[]}`,
		`jobs {"full":true,"changed":[],"removed":[]}`,
		`queues {"full":true,"changed":[{"id":"` + queueID + `","name":"orders","queue_mode":"NORMAL","messages":3,"bytes":30,"produced_messages":3}],"removed":[]}`,
		`status {"full":true,"changed":[{"id":"groups","state":"current"},{"id":"jobs","state":"current"},{"id":"queues","state":"current"}],"removed":[]}`,
	}
	if d := cmp.Diff(want, first); d != "" {
		t.Errorf("at first (-want +got):\n%s", d)
	}
	f.set(nil, queueOf(queueID, 4), queueOf(otherQueue, 0))
	if got, _ := e.until("queues", `"messages":4`); !strings.Contains(got.data, otherQueue) || !strings.Contains(got.data, `"full":false`) {
		t.Errorf("then: %s", got.data)
	}
	f.set(nil, queueOf(otherQueue, 0))
	if got, _ := e.until("queues", `"removed":["`+queueID+`"]`); !strings.Contains(got.data, `"changed":[]`) {
		t.Errorf("when one is gone: %s", got.data)
	}
}

func TestWhoComesBackHearsWhatItMissed(t *testing.T) {
	s, f := live(t, nil)
	e, _ := s.follow("")
	_, mark := e.until("status", "current")
	e.cancel()
	f.set(nil, queueOf(queueID, 9))
	again, _ := s.follow("", "Last-Event-ID", mark)
	if got, _ := again.until("queues", ""); !strings.Contains(got.data, `"messages":9`) || !strings.Contains(got.data, `"full":false`) {
		t.Errorf("with a mark: %s", got.data)
	}
	for _, foreign := range []string{"nonsense", "AAAAAAAAAA.1", strings.Repeat("x", 100), mark + "0"} {
		other, _ := s.follow("", "Last-Event-ID", foreign)
		if got, _ := other.until("queues", ""); !strings.Contains(got.data, `"messages":9`) || !strings.Contains(got.data, `"full":true`) {
			t.Errorf("with the mark %q: %s", foreign, got.data)
		}
	}
}

func TestWhatIsNotKnownIsNotZero(t *testing.T) {
	s, f := live(t, nil)
	e, _ := s.follow("")
	e.until("status", `"id":"queues","state":"current"`)
	f.set(errors.New("no leader"))
	if got, _ := e.until("status", "stale"); got.data != `{"full":false,"changed":[{"id":"groups","state":"stale"},{"id":"queues","state":"stale"}],"removed":[]}` {
		t.Errorf("without figures: %s", got.data)
	}
	unknown := queueOf(queueID, 0)
	unknown.Unknown, unknown.Groups = true, nil
	f.set(nil, unknown, queueOf(otherQueue, 1))
	got, _ := e.until("queues", otherQueue)
	if strings.Contains(got.data, queueID) {
		t.Errorf("of a queue without a leader it is told %s", got.data)
	}
	e.until("status", `"id":"queues","state":"current"`)
}

func TestCallersOfOneQueueHearOfThatOnly(t *testing.T) {
	s, f := live(t, nil)
	f.set(nil, queueOf(queueID, 3), queueOf(otherQueue, 4))
	e, a := s.follow("", "X-Auth-Token", "limited")
	if a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	heard := ""
	for !strings.HasPrefix(heard, "status") {
		got := e.next()
		heard = got.name
		if strings.Contains(got.data, otherQueue) || got.name == "jobs" || got.name == "alarms" || got == (eventRead{}) {
			t.Fatalf("it hears %+v", got)
		}
	}
	f.set(nil, queueOf(queueID, 5))
	for {
		got := e.next()
		if strings.Contains(got.data, otherQueue) || got == (eventRead{}) {
			t.Fatalf("it hears %+v", got)
		}
		if got.name == "queues" && strings.Contains(got.data, `"messages":5`) {
			break
		}
	}
}

func TestStreamsEnd(t *testing.T) {
	s, _ := live(t, nil)
	short, _ := s.follow("?seconds=1")
	long, _ := s.follow("?seconds=3600")
	if got, _ := short.until("bye", ""); !strings.Contains(got.data, `"reason":"time"`) {
		t.Errorf("after its time: %s", got.data)
	}
	if got := short.next(); got != (eventRead{}) {
		t.Errorf("after the end comes %+v", got)
	}
	s.api.Drain()
	if got, _ := long.until("bye", ""); !strings.Contains(got.data, `"reason":"draining"`) {
		t.Errorf("while draining: %s", got.data)
	}
	for _, bad := range []string{"0", "-1", "3601", "x", "1.5"} {
		if a := s.do("GET", base+"/events?seconds="+bad, "", "X-Auth-Token", "viewer"); a.status != 400 || a.code() != "DMS.10540014" {
			t.Errorf("seconds=%s: %d %s", bad, a.status, a.body)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s, _ := live(t, func(o *facade.Options) { o.Limits.StreamsPerSource, o.Limits.StreamsPerProject = 2, 3 })
	one, _ := s.follow("")
	one.until("status", "")
	two, _ := s.follow("")
	two.until("status", "")
	if a := s.do("GET", base+"/events", "", "X-Auth-Token", "viewer"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("a third stream to one address: %d", a.status)
	}
	one.cancel()
	eventually(t, func() (string, bool) {
		e, a := s.follow("?seconds=1")
		e.cancel()
		return fmt.Sprintf("one has left, and the next is answered %d", a.status), a.status == 200
	})
	s, _ = live(t, func(o *facade.Options) { o.Limits.StreamsPerProject = 1 })
	one, _ = s.follow("")
	one.until("status", "")
	if a := s.do("GET", base+"/events", "", "X-Auth-Token", "viewer"); a.status != 429 {
		t.Errorf("a second stream of a project: %d", a.status)
	}
}

func TestStreamsAreForThoseWhoMayObserve(t *testing.T) {
	s, _ := live(t, nil)
	for token, want := range map[string]int{"stranger": 401, "operator": 403, "nonsense": 401, "": 401} {
		if a := s.do("GET", base+"/events", "", "X-Auth-Token", token); a.status != want {
			t.Errorf("%q: %d, want %d", token, a.status, want)
		}
	}
	s = serve(t, &fake{}, nil)
	if a := s.do("GET", base+"/events", ""); a.status != 404 {
		t.Errorf("where nothing is watched: %d", a.status)
	}
}
