package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wake measures how long after a send its message reaches a parked poll.
func wake(ctx context.Context, s *service) error {
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue, group, _, err := s.queue(ctx, mode)
		if err != nil {
			return err
		}
		var late []time.Duration
		for range s.options.wakes {
			woken := make(chan error, 1)
			var at time.Time
			go func() {
				var got []delivery
				err := s.call(ctx, http.MethodGet, group+"/messages?time_wait=30", nil, &got)
				at = time.Now()
				if err == nil {
					err = s.ackAll(ctx, group, got)
				}
				woken <- err
			}()
			time.Sleep(10 * time.Millisecond) // so that the poll is parked
			if err := s.call(ctx, http.MethodPost, queue+"/messages", []byte(`{"messages":[{"body":"x"}]}`), nil); err != nil {
				return err
			}
			stored := time.Now()
			if err := <-woken; err != nil {
				return err
			}
			late = append(late, at.Sub(stored))
		}
		sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
		fmt.Printf("wake %-7s after the send's answer: p50 %v p99 %v\n", mode, late[len(late)/2], late[len(late)*99/100])
	}
	return nil
}

func (s *service) ackAll(ctx context.Context, group string, got []delivery) error {
	for _, d := range got {
		if err := s.call(ctx, http.MethodPost, group+"/ack", fmt.Appendf(nil, `{"message":[{"handler":"%s"}]}`, d.Handler), nil); err != nil {
			return err
		}
	}
	return nil
}

// parked measures what polls cost that wait and get nothing.
func parked(ctx context.Context, s *service) error {
	var groups []string
	for i := range s.options.groups / 10 {
		var q struct{ ID string }
		if err := s.call(ctx, http.MethodPost, "/queues", fmt.Appendf(nil, `{"name":"parked-%d"}`, i), &q); err != nil {
			return err
		}
		var names []string
		for j := range 10 {
			names = append(names, fmt.Sprintf(`{"name":"g%d"}`, j))
		}
		var made struct{ Groups []struct{ ID string } }
		body := `{"groups":[` + strings.Join(names, ",") + `]}`
		if err := s.call(ctx, http.MethodPost, "/queues/"+q.ID+"/groups", []byte(body), &made); err != nil {
			return err
		}
		for _, g := range made.Groups {
			groups = append(groups, "/queues/"+q.ID+"/groups/"+g.ID+"/messages?time_wait=")
		}
	}
	// The first poll of a group makes its consumer, which is not part of waiting.
	if err := s.pollAll(ctx, groups, "1"); err != nil {
		return err
	}
	heap, goroutines := memory()
	polls := make([]string, 0, s.options.polls)
	for i := range s.options.polls {
		polls = append(polls, groups[i%len(groups)])
	}
	done := make(chan error, 1)
	go func() { done <- s.pollAll(ctx, polls, strconv.Itoa(min(60, int(2*s.options.parked/time.Second)))) }()
	time.Sleep(min(5*time.Second, s.options.parked)) // so that all are parked
	before, err := s.committed()
	if err != nil {
		return err
	}
	time.Sleep(s.options.parked)
	after, err := s.committed()
	if err != nil {
		return err
	}
	heapParked, goroutinesParked := memory()
	fmt.Printf("parked: %d polls on %d groups: %.2f log entries per group in %v (bar 2), %d KiB and %.1f goroutines a poll, client included\n",
		s.options.polls, s.options.groups, float64(after-before)/float64(s.options.groups), s.options.parked,
		int64(heapParked-heap)/1024/int64(s.options.polls), float64(goroutinesParked-goroutines)/float64(s.options.polls))
	return <-done
}

func (s *service) pollAll(ctx context.Context, polls []string, wait string) error {
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for _, p := range polls {
		wg.Go(func() {
			if err := s.call(ctx, http.MethodGet, p+wait, nil, nil); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}

// committed is how many entries the replicated logs of all consumers have.
func (s *service) committed() (total uint64, err error) {
	account, err := s.accounts().ID(s.project.ID)
	if err != nil {
		return 0, err
	}
	highest := make(map[string]uint64)
	for _, m := range s.cluster.Members() {
		status, err := m.Raftz(account)
		if err != nil {
			return 0, err
		}
		for _, account := range status {
			for name, group := range account {
				if strings.HasPrefix(name, "C-") {
					highest[name] = max(highest[name], group.Committed)
				}
			}
		}
	}
	for _, n := range highest {
		total += n
	}
	if total == 0 {
		return 0, errors.New("the replicated logs of consumers cannot be seen")
	}
	return total, nil
}

func memory() (heap uint64, goroutines int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse, runtime.NumGoroutine()
}
