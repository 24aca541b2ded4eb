package mapping

import (
	"sync"
	"time"
)

// failures remembers which deliveries this node has seen failed, until their handles
// have expired. The record in the control bucket is the truth for other nodes.
type failures struct {
	mu      sync.Mutex
	batches map[[16]byte]failedBatch
	cleaned time.Time
}

type failedBatch struct {
	places uint16
	until  time.Time
}

func (f *failures) note(batch [16]byte, places uint16, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.batches == nil {
		f.batches = make(map[[16]byte]failedBatch)
	}
	if now.Sub(f.cleaned) > time.Minute {
		for b, known := range f.batches {
			if now.After(known.until) {
				delete(f.batches, b)
			}
		}
		f.cleaned = now
	}
	f.batches[batch] = failedBatch{places: f.batches[batch].places | places, until: until}
}

func (f *failures) of(batch [16]byte) uint16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.batches[batch].places
}
