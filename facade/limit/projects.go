package limit

import (
	"strconv"
	"sync"
	"time"

	"dms/tenancy"

	"golang.org/x/time/rate"
)

// maxProjects is how many projects are remembered before those that have not called for
// a while are forgotten. Forgetting one gives it a full bucket, which it has by then.
const maxProjects = 10_000

// Projects bounds the rates of requests and bytes of each project on this node. It is
// safe for concurrent use.
type Projects struct {
	requests, bytes int // per second, and at once; 0 is no limit
	policy          string

	mu      sync.Mutex
	buckets map[tenancy.ProjectID]*buckets
	swept   time.Time // when full buckets were last forgotten
}

type buckets struct{ requests, bytes *rate.Limiter }

// NewProjects returns limits of so many requests and bytes per second. A project may use
// up a second's worth at once. 0 means no limit.
func NewProjects(requests, bytes int) *Projects {
	return &Projects{
		requests: requests, bytes: bytes,
		policy:  `"project";q=` + strconv.Itoa(requests) + `;w=1`,
		buckets: make(map[tenancy.ProjectID]*buckets),
	}
}

// Verdict is what became of a request.
type Verdict struct {
	OK        bool
	Remaining int           // requests that are left in the bucket
	Wait      time.Duration // until a request may succeed, if OK is false
}

// Admit takes one request out of the project's bucket. A project that has used up its
// bytes is refused until it has paid for them.
func (p *Projects) Admit(id tenancy.ProjectID, now time.Time) Verdict {
	if p.requests == 0 && p.bytes == 0 {
		return Verdict{OK: true}
	}
	b := p.of(id, now)
	if b.bytes != nil {
		if owed := -b.bytes.TokensAt(now); owed > 0 {
			return Verdict{Wait: time.Duration(owed / float64(p.bytes) * float64(time.Second))}
		}
	}
	if b.requests == nil {
		return Verdict{OK: true}
	}
	ok := b.requests.AllowN(now, 1)
	left := b.requests.TokensAt(now)
	if !ok {
		return Verdict{Wait: time.Duration((1 - left) / float64(p.requests) * float64(time.Second))}
	}
	return Verdict{OK: true, Remaining: max(int(left), 0)}
}

// Charge takes the bytes of a request and its answer, whose number is known at its end
// only. A project may owe bytes.
func (p *Projects) Charge(id tenancy.ProjectID, bytes int64, now time.Time) {
	if p.bytes == 0 || bytes <= 0 {
		return
	}
	b := p.of(id, now).bytes
	// No reservation may be larger than the bucket.
	for ; bytes > 0; bytes -= int64(p.bytes) {
		b.ReserveN(now, int(min(bytes, int64(p.bytes))))
	}
}

// Policy is the field RateLimit-Policy, "" without a limit of requests.
func (p *Projects) Policy() string {
	if p.requests == 0 {
		return ""
	}
	return p.policy
}

// Field is the field RateLimit for a verdict, "" without a limit of requests. Both fields
// are those of draft-ietf-httpapi-ratelimit-headers-11.
func (p *Projects) Field(v Verdict) string {
	if p.requests == 0 {
		return ""
	}
	b := make([]byte, 0, 32)
	b = append(b, `"project";r=`...)
	b = strconv.AppendInt(b, int64(v.Remaining), 10)
	b = append(b, `;t=`...)
	return string(strconv.AppendInt(b, max(Seconds(v.Wait), 1), 10))
}

// Seconds is a time to wait in whole seconds, rounded up.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func (p *Projects) of(id tenancy.ProjectID, now time.Time) *buckets {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.buckets[id]
	if !ok {
		if len(p.buckets) >= maxProjects {
			p.forget(now)
		}
		b = &buckets{}
		if p.requests > 0 {
			b.requests = rate.NewLimiter(rate.Limit(p.requests), p.requests)
		}
		if p.bytes > 0 {
			b.bytes = rate.NewLimiter(rate.Limit(p.bytes), p.bytes)
		}
		p.buckets[id] = b
	}
	return b
}

// forget makes room: it drops the projects whose buckets are full, which they are after a
// second, or any one if it looked for those a moment ago.
func (p *Projects) forget(now time.Time) {
	if now.Sub(p.swept) < sweepEvery {
		for id := range p.buckets {
			delete(p.buckets, id)
			return
		}
	}
	p.swept = now
	full := func(l *rate.Limiter) bool { return l == nil || l.TokensAt(now) >= float64(l.Burst()) }
	for id, b := range p.buckets {
		if full(b.requests) && full(b.bytes) {
			delete(p.buckets, id)
		}
	}
}
