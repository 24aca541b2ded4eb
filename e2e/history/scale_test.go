package history

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// steady is a history of a million calls: four queues, two of them FIFO, two groups
// each, every message sent, received and acknowledged by itself.
func steady(perQueue int) (*History, Expect) {
	var x Expect
	h := &History{}
	add := func(c Call, at, took time.Duration) {
		c.ID, c.Client, c.Node, c.Start, c.End = int64(len(h.Calls)+1), "client", "node", at, at+took
		c.Status, c.Result, c.Tenant = 200, OK, tenant
		h.Calls = append(h.Calls, c)
	}
	for q := range 4 {
		x.Queues = append(x.Queues, Queue{Tenant: tenant, ID: fmt.Sprint("q", q), FIFO: q%2 == 1, MaxConsume: 3,
			Groups: []Group{{ID: "a"}, {ID: "b"}}})
	}
	for n := range perQueue {
		at := time.Duration(n) * 10 * time.Millisecond
		for _, q := range x.Queues {
			it := Item{Body: Body{Tenant: tenant, Queue: q.ID, Producer: fmt.Sprint("p", n%16), Seq: int64(n/16 + 1),
				Nonce: fmt.Sprintf("%s-%020d", q.ID, n)}, Digest: fmt.Sprintf("%016x", n), Result: OK}
			add(Call{Op: Send, Queue: q.ID, Items: []Item{it}}, at, time.Millisecond)
			for _, g := range q.Groups {
				it.Handle = fmt.Sprintf("%s%s%014x", q.ID, g.ID, n)
				add(Call{Op: Receive, Queue: q.ID, Group: g.ID, Items: []Item{it}}, at+2*time.Millisecond, 3*time.Millisecond)
				add(Call{Op: Ack, Queue: q.ID, Group: g.ID, Items: []Item{{Handle: it.Handle, Result: OK}}}, at+6*time.Millisecond, 3*time.Millisecond)
			}
		}
	}
	return h, x
}

// BenchmarkMillionCalls reads and judges a million calls. Besides the time it reports
// the memory that the process has asked the system for.
func BenchmarkMillionCalls(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "history.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	made, x := steady(50_000)
	out := bufio.NewWriter(file)
	for i := range made.Calls {
		if err := writeLine(out, &made.Calls[i]); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	calls := len(made.Calls)
	made = nil
	runtime.GC()
	for b.Loop() {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		h, err := ReadAll(file)
		if err != nil {
			b.Fatal(err)
		}
		r, err := NewRun(h, x)
		if err != nil {
			b.Fatal(err)
		}
		rep := Judge(r)
		if !rep.OK() || rep.Calls != calls || rep.Linearity.Undecided > 0 {
			b.Fatalf("%v", rep)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
}
