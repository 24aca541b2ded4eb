package registry

import (
	"context"
	"sync"

	"dms/tenancy"
)

// locks lets one goroutine of this node at a time change a project, so that a thousand
// first requests make one project once. It is not what keeps nodes apart. The zero value
// is ready.
type locks struct {
	mu    sync.Mutex
	holds map[tenancy.ProjectID]*hold
}

// hold is a lock that can be waited for until a context ends.
type hold struct {
	free  chan struct{} // holds one value while nobody has the lock
	users int           // that have it or wait for it; guarded by locks.mu
}

func (l *locks) lock(ctx context.Context, id tenancy.ProjectID) (unlock func(), err error) {
	l.mu.Lock()
	h, ok := l.holds[id]
	if !ok {
		if l.holds == nil {
			l.holds = make(map[tenancy.ProjectID]*hold)
		}
		h = &hold{free: make(chan struct{}, 1)}
		h.free <- struct{}{}
		l.holds[id] = h
	}
	h.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.holds, id)
		}
	}
	select {
	case <-h.free:
		return func() { h.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
