package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Options{Endpoint: s.URL + "/", Project: "p", Token: Fixed("secret")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Endpoint: "https://dms.test", Project: "p", Token: Fixed("t")}
	for name, change := range map[string]func(*Options){
		"no endpoint": func(o *Options) { o.Endpoint = "" },
		"a file":      func(o *Options) { o.Endpoint = "file:///etc" },
		"not a URL":   func(o *Options) { o.Endpoint = "http://[" },
		"no project":  func(o *Options) { o.Project = "" },
		"no token":    func(o *Options) { o.Token = nil },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestARefusalIsPassedOn(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "r-1")
		if strings.HasSuffix(r.URL.Path, "/jobs") {
			http.Error(w, "<html>", http.StatusBadGateway)
			return
		}
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"error_code":"DMS.10250005","error_msg":"again"}`))
	})
	_, err := c.Queues(t.Context())
	own, ok := errors.AsType[*Error](err)
	want := &Error{Status: 503, Code: "DMS.10250005", Message: "again", RequestID: "r-1", RetryAfter: 2 * time.Second}
	if d := cmp.Diff(want, own); !ok || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	_, err = c.Jobs(t.Context())
	if own, ok := errors.AsType[*Error](err); !ok || own.Status != 502 || own.Code != "" {
		t.Errorf("of something in between: %v", err)
	}
}

func TestRequestsSayWhatWasAskedFor(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		got = r.Method + " " + r.URL.RequestURI() + " " + string(body)
		if r.Header.Get("X-Auth-Token") != "secret" {
			got = "without a token"
		}
		if k := r.Header.Get("Idempotency-Key"); k != "" {
			got += " key " + k
		}
		_, _ = w.Write([]byte(`{}`))
	})
	ctx := t.Context()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	zero, hours := 0, 5*time.Hour
	for want, do := range map[string]func() error{
		`POST /v2/p/queues {"max_consume_count":3,"name":"q","queue_mode":"FIFO","redrive_policy":"enable"} `: func() error {
			_, err := c.CreateQueue(ctx, NewQueue{Name: "q", FIFO: true, MaxConsumeCount: 3})
			return err
		},
		`PATCH /v2/p/queues/q {"redrive_policy":"disable","retention_hours":5}`: func() error {
			_, err := c.UpdateQueue(ctx, "q", QueueChange{MaxConsumeCount: &zero, Retention: &hours})
			return err
		},
		`POST /v2/p/queues/q/messages {"messages":[{"body":{"a":1},"tags":["l"],"delay_time":1500}],"return_id":true} key k`: func() error {
			_, err := c.Send(WithKey(ctx, "k"), "q", Message{Body: map[string]int{"a": 1}, Labels: []string{"l"}, Delay: 1500 * time.Millisecond})
			return err
		},
		`POST /v2/p/queues/q/groups/g/ack {"message":[{"delay":2,"handler":"h","reason":"r","status":"fail"}]}`: func() error {
			_, err := c.Acknowledge(ctx, "q", "g", false, Ack{Handler: "h", Failed: true, Delay: 1500 * time.Millisecond, Reason: "r"})
			return err
		},
		`POST /v2/p/queues/q/groups/g/deadletters/extend {"message":[{"ack_wait":60,"handler":"h"}]}`: func() error {
			_, err := c.Extend(ctx, "q", "g", true, time.Minute, "h")
			return err
		},
		`GET /v2/p/queues/q/messages?attribute=a%3Db&filter=size+%3E+1&from_time=2026-01-31T12%3A00%3A00Z&label=l&limit=5&order=newest&source=queue `: func() error {
			_, err := c.Peek(ctx, "q", Peek{Source: "queue", Newest: true, FromTime: at, Limit: 5,
				Search: Search{Labels: []string{"l"}, Attributes: map[string]string{"a": "b"}, Filter: "size > 1"}})
			return err
		},
		`POST /v2/p/queues/q/groups/g/position {"dry_run":true,"sequence":7,"to":"sequence"}`: func() error {
			_, err := c.Move(ctx, "q", "g", Position{To: "sequence", Sequence: 7}, true)
			return err
		},
		`POST /v2/p/queues/q/redrive {"dry_run":false,"group_id":"g","queue_id":"o","rate":9,"sequences":[1],"stop_on_failure":true,"target":"other"}`: func() error {
			_, err := c.Redrive(ctx, "q", Redrive{Group: "g", Target: "other", Other: "o", Sequences: []uint64{1}, Rate: 9, Stop: true})
			return err
		},
	} {
		if err := do(); err != nil || strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	}
}

func TestAllFollowsThePages(t *testing.T) {
	pages := map[string]string{
		"":  `{"messages":[{"sequence":1},{"sequence":2}],"next":"a"}`,
		"a": `{"messages":[],"next":"b"}`,
		"b": `{"messages":[{"sequence":3}]}`,
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(pages[r.URL.Query().Get("cursor")]))
	})
	var got []uint64
	for m, err := range c.All(t.Context(), "q", Peek{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Sequence)
	}
	if d := cmp.Diff([]uint64{1, 2, 3}, got); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{"id":"j","state":"running"}`)) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if j, err := c.Await(ctx, "j", time.Millisecond); err == nil {
		t.Errorf("it ended with %+v", j)
	}
}
