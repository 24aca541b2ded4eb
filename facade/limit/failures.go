package limit

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxSources is how many addresses with failures are remembered. While there are more,
	// the failures of new ones are not counted: better that than to refuse somebody for
	// what others did.
	maxSources = 1 << 16
	// burstSeconds is how many seconds' worth of failures are allowed at once: people
	// mistype, and programs retry.
	burstSeconds = 5
	// sweepEvery is the least time between two looks at all that is remembered, so that
	// looking costs nothing to speak of however many come.
	sweepEvery = time.Second
)

// Failures counts failed credentials by address. It is safe for concurrent use.
type Failures struct {
	perSecond, burst float64

	mu      sync.Mutex
	sources map[netip.Prefix]debt
	swept   time.Time // when those that have paid were last forgotten
}

// debt is a bucket that fills with failures and drains with time.
type debt struct {
	level float64
	at    time.Time
}

// NewFailures allows so many failures a second of each address, and five seconds' worth
// at once. 0 means no limit.
func NewFailures(perSecond int) *Failures {
	return &Failures{
		perSecond: float64(perSecond), burst: float64(perSecond * burstSeconds),
		sources: make(map[netip.Prefix]debt),
	}
}

// Allowed reports whether credentials of the address are looked at; if not, for how long
// they will not be.
func (f *Failures) Allowed(source netip.Prefix, now time.Time) (wait time.Duration, ok bool) {
	if f.perSecond == 0 {
		return 0, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, known := f.sources[source]
	if !known {
		return 0, true
	}
	level := f.drained(d, now)
	if level <= 0 {
		delete(f.sources, source)
	}
	if over := level + 1 - f.burst; over > 0 {
		return time.Duration(over / f.perSecond * float64(time.Second)), false
	}
	return 0, true
}

// Failed counts a failure of the address.
func (f *Failures) Failed(source netip.Prefix, now time.Time) {
	if f.perSecond == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, known := f.sources[source]
	if !known && len(f.sources) >= maxSources {
		if now.Sub(f.swept) < sweepEvery {
			return
		}
		if f.forget(now); len(f.sources) >= maxSources {
			return
		}
	}
	f.sources[source] = debt{level: max(f.drained(d, now), 0) + 1, at: now}
}

func (f *Failures) drained(d debt, now time.Time) float64 {
	return d.level - max(now.Sub(d.at).Seconds(), 0)*f.perSecond
}

func (f *Failures) forget(now time.Time) {
	f.swept = now
	for source, d := range f.sources {
		if f.drained(d, now) <= 0 {
			delete(f.sources, source)
		}
	}
}
