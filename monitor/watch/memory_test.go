package watch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is records and a journal without a cluster. fail, if set, is asked before every
// write.
type memory struct {
	mu      sync.Mutex
	records map[string]Record
	rev     uint64
	entries map[string][]entry
	ids     map[string]bool
	fail    func(key string) error
}

type entry struct {
	at    time.Time
	value []byte
}

func newMemory() *memory {
	return &memory{records: make(map[string]Record), entries: make(map[string][]entry), ids: make(map[string]bool)}
}

func (m *memory) Get(_ context.Context, key string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[key]
	r.Key = key
	return r, nil
}

func (m *memory) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(key); err != nil {
			return 0, err
		}
	}
	if m.records[key].Revision != revision {
		return 0, ErrConflict
	}
	m.rev++
	m.records[key] = Record{key, slices.Clone(value), m.rev}
	return m.rev, nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

func (m *memory) List(_ context.Context, pattern string, from uint64) (all []Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.records {
		if strings.HasPrefix(key, strings.TrimRight(pattern, "*>")) && r.Revision >= from {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return int(a.Revision) - int(b.Revision) })
	return all, nil
}

func (m *memory) Append(_ context.Context, key, id string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ids[id] {
		m.ids[id] = true
		m.entries[key] = append(m.entries[key], entry{time.Now(), slices.Clone(value)})
	}
	return nil
}

func (m *memory) Read(_ context.Context, key string, from time.Time, f func(time.Time, []byte) error) error {
	m.mu.Lock()
	entries := slices.Clone(m.entries[key])
	m.mu.Unlock()
	for _, e := range entries {
		if e.at.Before(from) {
			continue
		}
		if err := f(e.at, e.value); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Last(_ context.Context, key string) (time.Time, []byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if len(e) == 0 {
		return time.Time{}, nil, false, nil
	}
	return e[len(e)-1].at, e[len(e)-1].value, true, nil
}

func (m *memory) Forget(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// setFail changes what writes are refused.
func (m *memory) setFail(f func(key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

var errDown = errors.New("the store is down")

// eventually polls until done, and fails with its last words after half a minute.
func eventually(t *testing.T, done func() (state string, ok bool)) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := done()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("it did not happen in time; last: %s", state)
		case <-tick.C:
		}
	}
}
