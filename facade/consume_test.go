package facade_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dms/facade"
	"dms/mapping/dms"
)

// waiting answers a receive only when its context ends, and counts those that wait.
func waiting(parked *atomic.Int64) func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
	return func(ctx context.Context, _ dms.GroupRef, req dms.Receive) (dms.Batch, error) {
		parked.Add(1)
		defer parked.Add(-1)
		select {
		case <-req.Until:
			return dms.Batch{}, nil
		case <-ctx.Done():
			return dms.Batch{}, fmt.Errorf("wait for messages: %w", ctx.Err())
		}
	}
}

func TestDrainingEndsLongPollsWithNothing(t *testing.T) {
	var parked atomic.Int64
	f := &fake{receive: waiting(&parked)}
	s := serve(t, f, nil)
	const polls = 5
	answers := make(chan answer, polls)
	for range polls {
		go func() { answers <- s.do("GET", groupPath+"/messages?time_wait=60", "") }() // received below
	}
	eventually(t, func() (string, bool) {
		n := parked.Load()
		return fmt.Sprintf("%d polls are waiting", n), n == polls
	})
	s.api.Drain()
	s.api.Drain()
	for range polls {
		select {
		case got := <-answers:
			if got.status != 200 || got.body != "[]" {
				t.Errorf("got %d %s, want 200 []", got.status, got.body)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d polls still wait", parked.Load())
		}
	}
	if got := s.do("GET", groupPath+"/deadletters?time_wait=60", ""); got.status != 200 || got.body != "[]" {
		t.Errorf("a poll while draining: got %d %s, want 200 []", got.status, got.body)
	}
	// The last one was looked up as well: what does not exist is refused to the end.
	if n := strings.Count(f.called(), "Receive"); n != polls+1 {
		t.Errorf("%d polls reached the storage, want %d", n, polls+1)
	}
	f.receive = func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
		return dms.Batch{}, &dms.Error{Code: dms.QueueNotFound}
	}
	if got := s.do("GET", groupPath+"/messages?time_wait=60", ""); got.status != 404 {
		t.Errorf("a poll of a queue that does not exist, while draining: got %d %s, want 404", got.status, got.body)
	}
}

// TestDrainingDoesNotAnswerForWhatItCannotSee drains while the storage has not told yet
// whether the queue exists: "nothing" would be an answer about a queue of anybody.
func TestDrainingDoesNotAnswerForWhatItCannotSee(t *testing.T) {
	started := make(chan struct{})
	f := &fake{receive: func(ctx context.Context, _ dms.GroupRef, _ dms.Receive) (dms.Batch, error) {
		close(started)
		<-ctx.Done()
		return dms.Batch{}, fmt.Errorf("look the queue up: %w", context.Cause(ctx))
	}}
	s := serve(t, f, nil)
	answers := make(chan answer, 1)
	go func() { answers <- s.do("GET", groupPath+"/messages?time_wait=60", "") }() // received below
	<-started
	s.api.Drain()
	if got := <-answers; got.status != 503 || got.code() != "DMS.10250005" || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 503", got.status, got.body)
	}
}

func TestDrainingPassesOnWhatWasReceived(t *testing.T) {
	started := make(chan struct{})
	f := &fake{receive: func(ctx context.Context, _ dms.GroupRef, _ dms.Receive) (dms.Batch, error) {
		close(started)
		<-ctx.Done()
		return dms.Batch{
			Deliveries: []dms.Delivery{{Payload: []byte(`{"body":1}`), Handle: "h"}},
			Return:     func() { t.Error("the deliveries were returned") },
		}, nil
	}}
	s := serve(t, f, nil)
	answers := make(chan answer, 1)
	go func() { answers <- s.do("GET", groupPath+"/messages?time_wait=60", "") }() // received below
	<-started
	s.api.Drain()
	if got := <-answers; got.body != `[{"message":{"body":1},"handler":"h"}]` {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestDeliveriesOfAClientThatIsGoneGoBack lets the client hang up while it waits; the
// storage answers with messages all the same.
func TestDeliveriesOfAClientThatIsGoneGoBack(t *testing.T) {
	parked := make(chan struct{})
	returned := make(chan struct{})
	f := &fake{receive: func(ctx context.Context, _ dms.GroupRef, _ dms.Receive) (dms.Batch, error) {
		close(parked)
		<-ctx.Done()
		return dms.Batch{
			Deliveries: []dms.Delivery{{Payload: []byte(`{"body":1}`), Handle: "h"}},
			Return:     func() { close(returned) },
		}, nil
	}}
	s := serve(t, f, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // received below
		req, err := http.NewRequestWithContext(ctx, "GET", s.server.URL+groupPath+"/messages?time_wait=60", nil)
		if err == nil {
			req.Header.Set("X-Auth-Token", "consumer")
			_, err = s.plain.Do(req)
		}
		ended <- err
	}()
	<-parked
	hangUp()
	if err := <-ended; err == nil {
		t.Fatal("the request was answered")
	}
	select {
	case <-returned:
	case <-time.After(10 * time.Second):
		t.Fatal("the deliveries were not returned")
	}
	eventually(t, func() (string, bool) {
		return s.log.String(), strings.Contains(s.log.String(), `"status":499`)
	})
}

// brokenWriter is a connection that breaks while the answer is written.
type brokenWriter struct{ header http.Header }

func (w brokenWriter) Header() http.Header       { return w.header }
func (w brokenWriter) WriteHeader(int)           {}
func (w brokenWriter) Write([]byte) (int, error) { return 0, net.ErrClosed }

func TestDeliveriesThatCannotBeWrittenGoBack(t *testing.T) {
	returned := 0
	f := &fake{receive: func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
		return dms.Batch{
			Deliveries: []dms.Delivery{{Payload: []byte(`{"body":1}`), Handle: "h"}},
			Return:     func() { returned++ },
		}, nil
	}}
	api, err := facade.New(options(f))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", groupPath+"/messages", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "consumer")
	api.Handler().ServeHTTP(brokenWriter{http.Header{}}, req)
	if returned != 1 {
		t.Errorf("the deliveries were returned %d times, want 1", returned)
	}
}

func TestDeliveriesThatWereWrittenStay(t *testing.T) {
	f := stocked()
	f.receive = func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
		return dms.Batch{
			Deliveries: []dms.Delivery{{Payload: []byte(`{"body":1}`), Handle: "h"}},
			Return:     func() { t.Error("the deliveries were returned") },
		}, nil
	}
	s := serve(t, f, nil)
	if got := s.do("GET", groupPath+"/messages", ""); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestLongPollsOutlastTheReadTimeout holds that a client which waits in silence is not
// taken for one that is gone.
func TestLongPollsOutlastTheReadTimeout(t *testing.T) {
	const readTimeout = 100 * time.Millisecond
	f := &fake{receive: func(ctx context.Context, _ dms.GroupRef, _ dms.Receive) (dms.Batch, error) {
		select {
		case <-ctx.Done():
			return dms.Batch{}, ctx.Err()
		case <-time.After(5 * readTimeout):
			return dms.Batch{}, nil
		}
	}}
	s := serve(t, f, func(_ *facade.Options, server *http.Server) { server.ReadTimeout = readTimeout })
	if got := s.do("GET", groupPath+"/messages?time_wait=60", ""); got.status != 200 || got.body != "[]" {
		t.Errorf("got %d %s, want 200 []", got.status, got.body)
	}
}

func TestReceivingEndsSoonAfterTheWait(t *testing.T) {
	var wait time.Duration
	f := &fake{receive: func(ctx context.Context, _ dms.GroupRef, _ dms.Receive) (dms.Batch, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			t.Error("receiving has no deadline")
		}
		wait = time.Until(deadline)
		return dms.Batch{}, nil
	}}
	s := serve(t, f, nil)
	s.do("GET", groupPath+"/messages?time_wait=60", "")
	if wait < 50*time.Second || wait > 80*time.Second {
		t.Errorf("the deadline is %v away, want little more than a minute", wait)
	}
}

// TestBodiesComeBackByteForByte sends values through the API into a store of one
// message and back.
func TestBodiesComeBackByteForByte(t *testing.T) {
	var stored []byte
	f := &fake{
		send: func(_ context.Context, _ dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
			stored = bytes.Clone(s.Messages[0].Payload)
			return make([]dms.Sent, 1), nil
		},
		receive: func(context.Context, dms.GroupRef, dms.Receive) (dms.Batch, error) {
			return dms.Batch{Deliveries: []dms.Delivery{{Payload: stored, Handle: "h"}}}, nil
		},
	}
	s := serve(t, f, nil)
	values := []string{
		`9007199254740993`, `1e400`, `-0`, `0.10`, `true`, `""`, `[]`, `{}`, `{"a":1,"a":2,"A":3}`, "[ 1 ,\n\t2 ]",
		`"\ud800"`, `"\u0000"`, `"</script>&\u2028` + "\u2028" + `"`, `"😀"`, `{"tags":["a"]}`, `["a"]`,
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	}
	for c := range 256 {
		escaped, err := json.Marshal(string(rune(c)))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(escaped), fmt.Sprintf(`"\u%04X"`, c))
		if c >= 0x20 && c != '"' && c != '\\' {
			values = append(values, `"`+string(rune(c))+`"`)
		}
	}
	for _, v := range values {
		for _, c := range []struct{ message, want string }{
			{`{"body":` + v + `}`, `{"body":` + v + `}`},
			{`{"tags":["t"],"attributes": {"v": ` + v + `} ,"body": ` + v + ` }`, `{"body":` + v + `,"attributes":{"v": ` + v + `},"tags":["t"]}`},
		} {
			if strings.Count(v, "[") > 100 && strings.Contains(c.message, "attributes") {
				continue // one too deep as an attribute
			}
			if got := s.with(s.plain, "POST", queuePath+"/messages", `{"messages":[`+c.message+`]}`); got.status != 201 {
				t.Errorf("send %.80s: %d %s", c.message, got.status, got.body)
				continue
			}
			want := `[{"message":` + c.want + `,"handler":"h"}]`
			if got := s.with(s.plain, "GET", groupPath+"/messages", ""); got.body != want {
				t.Errorf("sent    %.200s\ngot     %.200s\nwant    %.200s", c.message, got.body, want)
			}
		}
	}
}

func TestLargestSendOverHTTP(t *testing.T) {
	var size int
	f := &fake{send: func(_ context.Context, _ dms.QueueRef, s dms.Send) ([]dms.Sent, error) {
		size = len(s.Messages[0].Payload)
		return make([]dms.Sent, len(s.Messages)), nil
	}}
	s := serve(t, f, nil)
	text := strings.Repeat("x", dms.MaxMessageSize-2)
	if got := s.do("POST", queuePath+"/messages", `{"messages":[{"body":"`+text+`"}]}`); got.status != 201 {
		t.Errorf("524288 bytes: got %d %s", got.status, got.body)
	}
	if want := dms.MaxMessageSize + len(`{"body":}`); size != want {
		t.Errorf("the payload has %d bytes, want %d", size, want)
	}
	got := s.do("POST", queuePath+"/messages", `{"messages":[{"body":"x`+text+`"}]}`)
	if got.code() != "DMS.10540011" || !strings.Contains(got.body, "524289") || !strings.Contains(got.body, "524288") {
		t.Errorf("524289 bytes: got %d %s", got.status, got.body)
	}
}
