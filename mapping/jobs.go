package mapping

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dms/mapping/dms"
)

// jobs are the project's jobs as this node knows them: those it works on, and those that
// another node works on, which it takes over when nothing is heard of them any more.
type jobs struct {
	s *session

	mu       sync.Mutex
	mine     map[dms.JobID]bool
	others   map[dms.JobID]sighting
	watching bool
}

// sighting is when this node first saw a revision, by its own clock.
type sighting struct {
	revision uint64
	at       time.Time
}

const (
	// jobSilence is how long a job's record stands still before another node takes the job
	// over. The node that works on it writes at least every jobStep.
	jobSilence = 15 * time.Second
	jobStep    = 8 * time.Second
	jobLook    = 2 * time.Second
)

func newJobs(s *session) *jobs {
	return &jobs{s: s, mine: make(map[dms.JobID]bool), others: make(map[dms.JobID]sighting)}
}

// busy reports whether the session must stay open for a job.
func (js *jobs) busy() bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	return len(js.mine)+len(js.others) > 0
}

// resume looks for jobs from before.
func (js *jobs) resume(ctx context.Context) error {
	ids, err := js.s.jobIDs(ctx)
	for _, id := range ids {
		js.heard(id)
	}
	return err
}

// heard takes the news of a job. Unless this node works on it, it is watched.
func (js *jobs) heard(id dms.JobID) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if _, known := js.others[id]; known || js.mine[id] {
		return
	}
	js.others[id] = sighting{}
	if !js.watching {
		js.watching = true
		js.s.spawn(js.watch)
	}
}

// watch looks at the jobs of other nodes until there are none.
func (js *jobs) watch() {
	tick := time.NewTicker(jobLook)
	defer tick.Stop()
	for {
		js.mu.Lock()
		var ids []dms.JobID
		for id := range js.others {
			ids = append(ids, id)
		}
		js.watching = len(ids) > 0
		js.mu.Unlock()
		if len(ids) == 0 {
			return
		}
		for _, id := range ids {
			if err := js.look(js.s.base, id); err != nil && js.s.base.Err() == nil {
				js.s.log.LogAttrs(js.s.base, slog.LevelWarn, "cannot look at a job", slog.String("job", string(id)), slog.Any("err", err))
			}
		}
		select {
		case <-tick.C:
		case <-js.s.base.Done():
			return
		}
	}
}

// look takes a job over when its record has stood still for too long.
func (js *jobs) look(ctx context.Context, id dms.JobID) error {
	j, revision, err := js.s.readJob(ctx, id)
	if err != nil {
		return err
	}
	js.mu.Lock()
	seen := js.others[id]
	switch {
	case revision == 0 || j.ended():
		delete(js.others, id)
		js.mu.Unlock()
		return nil
	case revision != seen.revision:
		js.others[id] = sighting{revision, time.Now()}
		js.mu.Unlock()
		return nil
	}
	js.mu.Unlock()
	if time.Since(seen.at) < jobSilence {
		return nil
	}
	j.Owner = js.s.b.nodeKey()
	revision, err = js.s.writeJob(ctx, id, &j, revision)
	if errors.Is(err, errConflict) {
		return nil // it lives, or somebody else was faster
	}
	if err != nil {
		return err
	}
	js.s.log.LogAttrs(ctx, slog.LevelInfo, "a job goes on here", slog.String("job", string(id)))
	js.start(id, j, revision)
	return nil
}

// start works on a job that this node owns.
func (js *jobs) start(id dms.JobID, j jobRecord, revision uint64) {
	js.mu.Lock()
	delete(js.others, id)
	js.mine[id] = true
	js.mu.Unlock()
	js.s.spawn(func() {
		r := &redrive{s: js.s, id: id, jobRecord: j, revision: revision}
		err := r.run(js.s.base)
		js.mu.Lock()
		delete(js.mine, id)
		js.mu.Unlock()
		if err != nil && js.s.base.Err() == nil {
			js.s.log.LogAttrs(js.s.base, slog.LevelWarn, "a job is interrupted", slog.String("job", string(id)), slog.Any("err", err))
			js.heard(id) // whoever looks next goes on with it
		}
	})
}
