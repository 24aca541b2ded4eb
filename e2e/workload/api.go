package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"dms/e2e/history"
)

const (
	size = 3 // nodes

	pollSlack = 20 * time.Second // what a poll may take beyond its wait
	callLimit = 25 * time.Second // of other calls if the plan says nothing: longer than the service holds one
	dialLimit = time.Second      // of connecting
	shunFor   = time.Second      // a node that gave no answer, or cannot serve, is left alone for so long
)

// directory is where the nodes are. A node that is down keeps its last place.
type directory struct {
	mu   sync.Mutex
	urls [size]string
}

func (d *directory) set(i int, url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.urls[i] = url
}

func (d *directory) url(i int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.urls[i]
}

// listens reports whether somebody takes connections at the node's place.
func (d *directory) listens(ctx context.Context, i int) bool {
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(d.url(i), "http://"))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// caller makes one call after the other and records each. It repeats none by itself.
type caller struct {
	w      *World
	name   string
	tenant *tenant
	rng    *rand.Rand
	shun   [size]time.Time
}

func (w *World) caller(t *tenant, format string, args ...any) *caller {
	name := fmt.Sprintf(format, args...)
	return &caller{w: w, name: name, tenant: t, rng: w.Random(name)}
}

// chance is true with a probability.
func (c *caller) chance(p float64) bool { return c.rng.Float64() < p }

// node picks a node at random, if possible one that served lately. A node where nobody
// listens is not called: nothing can come of that, and a history in which it looks like
// a call without an answer says less.
func (c *caller) node(ctx context.Context) int {
	if c.w.plan.OneNode {
		return 0
	}
	i, now := c.rng.IntN(size), time.Now()
	for k := range size {
		j := (i + k) % size
		if !now.After(c.shun[j]) {
			continue
		}
		if c.w.nodes.listens(ctx, j) {
			return j
		}
		c.shun[j] = now.Add(shunFor)
	}
	return i
}

// request is one call to make.
type request struct {
	method, path, body string
	key                string // Idempotency-Key
	limit              time.Duration
}

// outcome is what came back; status 0 means that no whole answer did.
type outcome struct {
	status int
	body   []byte
}

func (o outcome) code() string {
	var e struct {
		Code string `json:"error_code"`
	}
	if o.status < 400 || json.Unmarshal(o.body, &e) != nil {
		return ""
	}
	return e.Code
}

// record makes the call and notes it. The items of an answer are read by parse, which
// is asked only when the answer is 2xx; what it cannot read is reported.
func (c *caller) record(ctx context.Context, call history.Call, r request, parse func([]byte) ([]history.Item, error)) outcome {
	at := c.node(ctx)
	call.Client, call.Tenant, call.Node = c.name, c.tenant.id, fmt.Sprintf("n%d", at+1)
	pending := c.w.rec.Begin(call)
	out := c.do(ctx, at, r)
	answer := history.Answer{Status: out.status, Code: out.code()}
	if out.status/100 != 2 || call.Op == history.Read {
		answer.Text = string(out.body)
	}
	if parse != nil && out.status/100 == 2 {
		items, err := parse(out.body)
		if err != nil {
			c.w.complain("%s at %s: answer cannot be read: %v: %.300s", call.Op, call.Node, err, out.body)
			answer.Status = 0
		}
		answer.Items = items
	}
	if out.status >= 400 && out.status < 500 {
		c.w.refused(call, answer)
	}
	if err := pending.End(answer); err != nil {
		c.w.complain("record: %v", err)
	}
	if out.status == 0 || out.status == http.StatusServiceUnavailable {
		c.shun[at] = time.Now().Add(shunFor)
	}
	return out
}

// once hides that a body can be read again: the transport repeats by itself a request
// that it believes to be harmless, and polls and keyed sends look so.
type once struct{ io.Reader }

func (c *caller) do(ctx context.Context, at int, r request) outcome {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, c.w.nodes.url(at)+"/v2/"+c.tenant.id+r.path, once{strings.NewReader(r.body)})
	if err != nil {
		c.w.complain("request: %v", err)
		return outcome{}
	}
	req.ContentLength = int64(len(r.body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", c.tenant.token)
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	res, err := c.w.http.Do(req)
	if err != nil {
		return outcome{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return outcome{}
	}
	return outcome{status: res.StatusCode, body: body}
}

// Pause waits, unless the context ends first.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
