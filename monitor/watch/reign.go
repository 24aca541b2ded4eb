package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dms/monitor/alarm"
	"dms/monitor/history"
	"dms/monitor/sample"
	"dms/tenancy"
)

// reign is the time for which one node watches. Everything in it belongs to one goroutine.
type reign struct {
	w        *Watch
	recorder *history.Recorder
	meters   sample.Meters
	trackers map[tenancy.ProjectID]*sample.Tracker
	alarms   map[string]*watched // by project and id
	seen     uint64              // revision up to which rules are known

	results chan result
	sending map[string]bool // notices under way, by id and webhook
	// unrecorded are attempts that came to an end, which is not on record yet.
	unrecorded []result
}

// watched is one alarm.
type watched struct {
	project  tenancy.ProjectID
	rule     alarm.Rule
	state    alarm.State
	revision uint64 // of the state's record
}

const (
	// mostSends bounds the notifications that are on their way at one time.
	mostSends = 16
	// outboxEvery is how often waiting notifications are looked at.
	outboxEvery = time.Second
)

func newReign(w *Watch) *reign {
	if w.o.Alertmanager != nil {
		w.o.Alertmanager.told = make(map[string]alert) // another node may have told it since
	}
	return &reign{
		w: w, recorder: w.o.History.Recorder(),
		trackers: make(map[tenancy.ProjectID]*sample.Tracker), alarms: make(map[string]*watched),
		results: make(chan result, mostSends), sending: make(map[string]bool),
	}
}

// run samples and evaluates until ctx ends, and waits for what it has begun.
func (r *reign) run(ctx context.Context) {
	pass := time.NewTicker(r.w.o.SampleEvery)
	defer pass.Stop()
	outbox := time.NewTicker(min(outboxEvery, r.w.o.SampleEvery))
	defer outbox.Stop()
	r.pass(ctx)
	for {
		select {
		case <-ctx.Done():
			for len(r.sending) > len(r.unrecorded) {
				r.finish(ctx, <-r.results)
			}
			return
		case <-pass.C:
			r.pass(ctx)
		case <-outbox.C:
			r.send(ctx)
		case res := <-r.results:
			r.finish(ctx, res)
			r.send(ctx)
		}
	}
}

// pass takes one sample of everything, keeps it, and evaluates the alarms. What fails is
// a gap.
func (r *reign) pass(ctx context.Context) {
	begin := time.Now()
	// A pass that hangs must not hold up the next one for long.
	ctx, cancel := context.WithTimeout(ctx, max(3*r.w.o.SampleEvery, 5*time.Second))
	defer cancel()
	if err := r.observe(ctx, begin); err != nil && ctx.Err() == nil {
		r.w.stats.lost.Add(1)
		r.w.log.LogAttrs(ctx, slog.LevelWarn, "a sample was lost", slog.Any("err", err))
	}
	r.send(ctx)
}

func (r *reign) observe(ctx context.Context, begin time.Time) error {
	c, err := r.w.o.Collector.Collect(ctx)
	if err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	if err := r.learn(ctx); err != nil {
		return fmt.Errorf("read alarms: %w", err)
	}
	passed := r.meters.Advance(c.Runs)
	latest := &Latest{At: c.At, Projects: c.Projects, Missing: c.Missing}
	var failed error
	live := make(map[tenancy.ProjectID]bool)
	for _, p := range c.Projects {
		live[p.ID] = true
		if p.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("project %s: %w", p.ID, p.Err))
			continue
		}
		t, err := r.tracker(ctx, p.ID)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		f := t.Advance(c.At, p.Queues, passed)
		latest.Frames = append(latest.Frames, f)
		failed = errors.Join(failed, r.recorder.Record(ctx, f), r.evaluate(ctx, f))
	}
	for id := range r.trackers {
		if !live[id] {
			delete(r.trackers, id)
		}
	}
	latest.Firing = r.firing()
	latest.Took = time.Since(begin)
	r.w.latest.Store(latest)
	if r.w.o.Alertmanager != nil {
		failed = errors.Join(failed, r.w.o.Alertmanager.post(ctx, r.alarms, c.At))
	}
	return failed
}

// tracker returns the project's tracker, which goes on with the totals of the project's
// last sample.
func (r *reign) tracker(ctx context.Context, id tenancy.ProjectID) (*sample.Tracker, error) {
	t := r.trackers[id]
	if t != nil {
		return t, nil
	}
	t = sample.NewTracker(id)
	last, ok, err := r.w.o.History.Last(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", id, err)
	}
	if ok {
		t.Resume(last)
	}
	r.trackers[id] = t
	return t, nil
}

// learn reads the rules that have changed, and at first the states that were left.
func (r *reign) learn(ctx context.Context) error {
	records, err := r.w.o.Records.List(ctx, "rule.>", r.seen)
	if err != nil {
		return err
	}
	for _, record := range records {
		project, id, ok := ofKey(record.Key)
		if !ok {
			continue
		}
		stored, err := decodeRule(record)
		if err != nil {
			r.w.log.LogAttrs(ctx, slog.LevelError, "an alarm cannot be read", slog.Any("err", err))
			continue
		}
		key := journalKey(project, id)
		if stored.Deleted {
			if err := r.remove(ctx, project, id); err != nil {
				return err
			}
			delete(r.alarms, key)
			continue
		}
		a := r.alarms[key]
		if a == nil {
			a = &watched{project: project}
			if err := r.reload(ctx, a, id); err != nil {
				return err
			}
			r.alarms[key] = a
		}
		a.rule = stored.Rule
	}
	if n := len(records); n > 0 {
		r.seen = records[n-1].Revision + 1
	}
	return nil
}

// remove takes away what is left of a deleted alarm.
func (r *reign) remove(ctx context.Context, project tenancy.ProjectID, id alarm.ID) error {
	return errors.Join(
		r.w.o.Records.Delete(ctx, stateKey(project, id)),
		r.w.o.Journal.Forget(ctx, journalKey(project, id)),
		r.w.o.Records.Delete(ctx, ruleKey(project, id)),
	)
}

func (r *reign) reload(ctx context.Context, a *watched, id alarm.ID) error {
	record, err := r.w.o.Records.Get(ctx, stateKey(a.project, id))
	if err != nil {
		return err
	}
	a.revision = record.Revision
	a.state, err = decodeState(record)
	return err
}

// evaluate judges the alarms of the sample's project.
func (r *reign) evaluate(ctx context.Context, f sample.Frame) error {
	var failed error
	for _, a := range r.alarms {
		if a.project != f.Project {
			continue
		}
		next, changes := a.state.Evaluate(a.rule, f)
		next = next.Notify(a.project, a.rule, f.At)
		if err := r.save(ctx, a, next); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, c := range changes {
			id := fmt.Sprintf("%s.%s/%s.%s.%d", a.rule.ID, c.Queue, c.Group, c.To, c.At.UnixNano())
			failed = errors.Join(failed, r.note(ctx, a, id, Happening{At: c.At, Change: &c}))
		}
	}
	return failed
}

// save writes an alarm's state if it differs from the one before. When somebody else has
// written it, theirs counts and this evaluation is dropped.
func (r *reign) save(ctx context.Context, a *watched, next alarm.State) error {
	before, after := mustJSON(a.state), mustJSON(next)
	if string(before) == string(after) {
		return nil
	}
	revision, err := r.w.o.Records.Put(ctx, stateKey(a.project, a.rule.ID), after, a.revision)
	if errors.Is(err, ErrConflict) {
		return errors.Join(err, r.reload(ctx, a, a.rule.ID))
	}
	if err != nil {
		// Whether it was written is not known, so the record is asked next time.
		return errors.Join(err, r.reload(ctx, a, a.rule.ID))
	}
	a.state, a.revision = next, revision
	return nil
}

func (r *reign) note(ctx context.Context, a *watched, id string, h Happening) error {
	return r.w.o.Journal.Append(ctx, journalKey(a.project, a.rule.ID), id, mustJSON(h))
}

func (r *reign) firing() []FiringCount {
	counts := make(map[FiringCount]int)
	for _, a := range r.alarms {
		counts[FiringCount{Project: string(a.project), Severity: string(a.rule.Severity)}] += len(a.state.Firing())
	}
	all := make([]FiringCount, 0, len(counts))
	for c, n := range counts {
		c.Targets = n
		all = append(all, c)
	}
	return all
}
