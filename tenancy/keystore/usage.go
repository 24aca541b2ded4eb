package keystore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"dms/tenancy/records"
)

const (
	// usageEvery is how exact the time of the last use is.
	usageEvery = 10 * time.Minute
	// usageLife is how long a last use is remembered.
	usageLife = 400 * 24 * time.Hour
	// usageBatch bounds what one round of refreshing writes down.
	usageBatch = 20
)

// usage is when keys were last used through this node.
type usage struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func newUsage() usage { return usage{last: make(map[string]time.Time)} }

// Used notes that the key was used just now. It does no I/O: the time is written down
// later, and is lost when the node ends before.
func (s *Store) Used(id string) {
	now := s.opts.Now()
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	s.usage.last[id] = now
}

// lastUsed is the latest use that this node knows of.
func (s *Store) lastUsed(id string) time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lastUsedLocked(id)
}

// lastUsedLocked is lastUsed for a caller who holds s.mu.
func (s *Store) lastUsedLocked(id string) time.Time {
	at := s.mirror.used[id]
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	if own := s.usage.last[id]; own.After(at) {
		at = own
	}
	return at.UTC().Truncate(time.Second)
}

// flushUsage writes down uses that are much later than what is known to all.
func (s *Store) flushUsage(ctx context.Context) error {
	s.mu.RLock()
	s.usage.mu.Lock()
	due := make(map[string]time.Time)
	for id, at := range s.usage.last {
		if _, exists := s.accessKeyLocked(id); !exists {
			delete(s.usage.last, id)
		} else if at.Sub(s.mirror.used[id]) >= usageEvery && len(due) < usageBatch {
			due[id] = at
		}
	}
	s.usage.mu.Unlock()
	s.mu.RUnlock()
	for id, at := range due {
		i, err := s.bucket.Put(ctx, kindUsed+id, strconv.AppendInt(nil, at.Unix(), 10), usageLife)
		if err != nil {
			return err
		}
		s.learn(i)
	}
	return nil
}

func usedOf(i records.Item) time.Time {
	n, err := strconv.ParseInt(string(i.Data), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
