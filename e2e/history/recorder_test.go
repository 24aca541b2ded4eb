package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStatusesAllowOnlyTheirConclusions(t *testing.T) {
	for status, want := range map[int]Result{0: Unknown, 100: Unknown, 200: OK, 201: OK, 204: OK, 302: Unknown,
		400: Fail, 408: Fail, 429: Fail, 499: Fail, 500: Unknown, 503: Unknown, 599: Unknown} {
		if got := ResultOf(status); got != want {
			t.Errorf("status %d: got %v, want %v", status, got, want)
		}
	}
}

func TestRecordedCallsReadBack(t *testing.T) {
	var file bytes.Buffer
	rec := NewRecorder(&file)
	b := testBody()
	sent := []Item{{Body: b, Digest: "d1"}, {Body: b, Digest: "d2", Delay: seconds(5)}}
	end := func(p *Pending, a Answer) {
		t.Helper()
		if err := p.End(a); err != nil {
			t.Fatal(err)
		}
	}
	send := Call{Client: "c", Node: "n", Op: Send, Tenant: tenant, Queue: "q", Key: "k", Items: sent}
	end(rec.Begin(send), Answer{Status: 201, Items: []Item{{Body: b, Digest: "d1", ID: "id", Result: OK}, {Body: b, Result: Fail}}})
	end(rec.Begin(send), Answer{Status: 503, Code: "unavailable", Items: []Item{{Body: b, Result: OK}}})
	end(rec.Begin(send), Answer{Status: 400, Code: "DMS.10240009", Text: "<no>"})
	end(rec.Begin(Call{Op: Receive, Group: "g", AckWait: seconds(15)}), Answer{Status: 200,
		Items: []Item{{Corrupt: "why", Handle: HandleID("secret"), Result: OK}}})
	rec.Begin(send) // never ended
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file.Bytes(), []byte("secret")) {
		t.Error("the handle itself was recorded")
	}
	h, err := ReadAll(&file)
	if err != nil {
		t.Fatal(err)
	}
	want := []Call{
		{ID: 1, Status: 201, Result: OK, Items: []Item{{Body: b, Digest: "d1", ID: "id", Result: OK}, {Body: b, Result: Fail}}},
		{ID: 2, Status: 503, Code: "unavailable", Items: []Item{{Body: b}}},
		{ID: 3, Status: 400, Code: "DMS.10240009", Text: "<no>", Result: Fail,
			Items: []Item{{Body: b, Digest: "d1", Result: Fail}, {Body: b, Digest: "d2", Delay: seconds(5), Result: Fail}}},
		{ID: 4, Op: Receive, Group: "g", AckWait: seconds(15), Status: 200, Result: OK,
			Items: []Item{{Corrupt: "why", Handle: HandleID("secret"), Result: OK}}},
		{ID: 5, Items: sent},
	}
	for i := range h.Calls {
		c := &h.Calls[i]
		if c.Start > c.End || i > 0 && c.Start < h.Calls[i-1].Start {
			t.Errorf("call %v is out of time", c)
		}
		c.Start, c.End = 0, 0
		if w := &want[i]; w.Op == "" {
			w.Client, w.Node, w.Op, w.Tenant, w.Queue, w.Key = "c", "n", Send, tenant, "q", "k"
		}
	}
	if h.Cut || !reflect.DeepEqual(h.Calls, want) {
		t.Errorf("got cut %v and\n%+v, want\n%+v", h.Cut, h.Calls, want)
	}
	if sent[0].Result != Unknown || sent[1].Result != Unknown {
		t.Errorf("the caller's items were changed: %+v", sent)
	}
}

func TestManyClientsRecordAtOnce(t *testing.T) {
	const clients, calls = 16, 200
	read, write := io.Pipe()
	rec := NewRecorder(write)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for range calls {
				p := rec.Begin(Call{Client: fmt.Sprint(c), Op: Read})
				if err := p.End(Answer{Status: 200, Text: strings.Repeat("x", 1000)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		h, err := ReadAll(read)
		if err != nil || h.Cut || len(h.Calls) != clients*calls {
			t.Errorf("got %v, error %v, want %d calls", h, err, clients*calls)
			return
		}
		seen := make(map[int64]bool)
		for _, c := range h.Calls {
			seen[c.ID] = true
		}
		if len(seen) != clients*calls {
			t.Errorf("got %d numbers, want %d", len(seen), clients*calls)
		}
	})
	// The reader ends with the pipe, and the pipe with the recorder, which closes once
	// every client is done; a call that finds it closed would be an error.
	waitFor(t, "all calls begun and ended", func() (bool, string) {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		return rec.last == clients*calls && len(rec.open) == 0, fmt.Sprintf("%d begun, %d open", rec.last, len(rec.open))
	})
	if err := rec.Close(); err != nil {
		t.Error(err)
	}
	if err := write.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

var errDisk = errors.New("no space")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errDisk }

func TestAWriterThatFailsIsReported(t *testing.T) {
	rec := NewRecorder(fullDisk{})
	_ = rec.Begin(Call{Op: Read}).End(Answer{Status: 200}) // may be too early to know
	for range 2 {
		if err := rec.Close(); !errors.Is(err, errDisk) {
			t.Errorf("got %v, want %v", err, errDisk)
		}
	}
	if err := rec.Begin(Call{Op: Read}).End(Answer{}); !errors.Is(err, errDisk) {
		t.Errorf("after closing: got %v, want %v", err, errDisk)
	}
}

func TestACallAfterCloseIsRefused(t *testing.T) {
	rec := NewRecorder(io.Discard)
	p := rec.Begin(Call{Op: Read})
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.End(Answer{Status: 200}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
}

const line = `{"id":1,"client":"c","op":"send","tenant":"t","start":1,"end":2,"status":200,"result":"ok"}` + "\n"

func TestOnlyACutLastLineIsForgiven(t *testing.T) {
	tests := []struct {
		name, text string
		calls      int
		cut, bad   bool
	}{
		{"empty", "", 0, false, false},
		{"whole", line + line, 2, false, false},
		{"empty lines", line + "\n  \n" + line, 2, false, false},
		{"cut in the last line", line + line[:40], 1, true, false},
		{"cut before the last end of line", line + strings.TrimSpace(line), 1, true, false},
		{"broken in the middle", line[:40] + "\n" + line, 0, false, true},
		{"an unknown result", strings.Replace(line, `"ok"`, `"okay"`, 1), 0, false, true},
		{"ends before it starts", strings.Replace(line, `"end":2`, `"end":0`, 1), 0, false, true},
		{"before the start", strings.Replace(line, `"start":1`, `"start":-1`, 1), 0, false, true},
		{"longer than the buffer", strings.Replace(line, `"c"`, `"`+strings.Repeat("c", 3<<20)+`"`, 1) + line, 2, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ReadAll(strings.NewReader(tt.text))
			if (err != nil) != tt.bad {
				t.Fatalf("got error %v, want one: %v", err, tt.bad)
			}
			if err == nil && (len(h.Calls) != tt.calls || h.Cut != tt.cut) {
				t.Errorf("got %d calls, cut %v, want %d, %v", len(h.Calls), h.Cut, tt.calls, tt.cut)
			}
		})
	}
}

func FuzzReadAll(f *testing.F) {
	f.Add([]byte(line + line[:30]))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := ReadAll(bytes.NewReader(text))
		if (h == nil) == (err == nil) {
			t.Fatalf("got %v and error %v", h, err)
		}
		if err != nil {
			return
		}
		if r, err := NewRun(h, Expect{}); err == nil { // anything readable can be judged
			Judge(r)
		}
	})
}

// waitFor polls a condition, which tells its state, for at most ten seconds.
func waitFor(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %s", what, state)
		}
		<-tick.C
	}
}

func writeLine(w io.Writer, c *Call) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
