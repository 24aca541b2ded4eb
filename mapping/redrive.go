package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dms/mapping/dms"
	"dms/mapping/filter"

	"github.com/google/uuid"
)

// Redrive starts to give dead letters of the group another chance, or counts them. It
// takes those that were there when it began and that no consumer of dead letters has
// acknowledged.
//
// Every message is stored at its target before it ceases to be a dead letter, under an id
// made of the job and its place. What is repeated within two minutes is stored once; when a
// node dies and the job goes on later than that, a message may be delivered twice.
func (b *Broker) Redrive(ctx context.Context, ref dms.GroupRef, req dms.Redrive) (dms.Job, error) {
	if err := req.Validate(); err != nil {
		return dms.Job{}, err
	}
	wanted, err := filter.Compile(req.Search)
	if err != nil {
		return dms.Job{}, err
	}
	s, release, err := b.session(ctx, ref.Project)
	if err != nil {
		return dms.Job{}, err
	}
	defer release()
	q, err := s.present(ctx, ref.QueueRef)
	if err != nil {
		return dms.Job{}, err
	}
	if _, err := s.group(ctx, q, ref.Group); err != nil {
		return dms.Job{}, err
	}
	if req.Target == dms.ToOther {
		other := dms.QueueRef{Project: ref.Project, Queue: req.Other}
		if _, err := s.present(ctx, other); err != nil {
			return dms.Job{}, err
		}
	}
	slices.Sort(req.Sequences)
	req.Sequences = slices.Compact(req.Sequences)
	now := time.Now().UnixMilli()
	j := jobRecord{
		Queue: ref.Queue, Group: ref.Group, Request: req, State: dms.JobRunning, Owner: b.nodeKey(), Created: now, Updated: now,
	}
	r := &redrive{s: s, q: q, ref: ref, wanted: wanted, jobRecord: j}
	if err := r.measure(ctx); err != nil {
		return dms.Job{}, toError(err)
	}
	if req.DryRun {
		err := r.count(ctx)
		return s.jobOf("", r.jobRecord), toError(err)
	}
	if err := s.mayStart(ctx); err != nil {
		return dms.Job{}, toError(err)
	}
	id := dms.JobID(uuid.NewString())
	revision, err := s.writeJob(ctx, id, &r.jobRecord, 0)
	if err != nil {
		return dms.Job{}, toError(fmt.Errorf("job %s: %w", id, err))
	}
	s.jobs.start(id, r.jobRecord, revision)
	return s.jobOf(id, r.jobRecord), nil
}

// mayStart refuses a job when the project has as many as it may.
func (s *session) mayStart(ctx context.Context) error {
	ids, err := s.jobIDs(ctx)
	if err != nil {
		return err
	}
	running := 0
	for _, id := range ids {
		j, revision, err := s.readJob(ctx, id)
		if err != nil {
			return err
		}
		if revision > 0 && !j.ended() {
			running++
		}
	}
	if running >= dms.MaxRunningJobs || len(ids) >= dms.MaxJobs {
		return dms.Errorf(dms.TooManyRequests, "the project may have %d running jobs, and %d started within a week", dms.MaxRunningJobs, dms.MaxJobs)
	}
	return nil
}

// redrive is a job while it is worked on.
type redrive struct {
	jobRecord
	s        *session
	q        *queue // where the dead letters are from
	ref      dms.GroupRef
	id       dms.JobID
	revision uint64
	wanted   *filter.Filter
	target   *queue        // nil for dms.ToGroup
	pause    time.Duration // before the next try, after one that failed
}

// redriveBatch is how many messages are moved before the job's record is written.
const redriveBatch = 250

// prepare finds what the job is about. The job fails when that is gone.
func (r *redrive) prepare(ctx context.Context) (err error) {
	r.ref = dms.GroupRef{QueueRef: dms.QueueRef{Project: r.s.project, Queue: r.Queue}, Group: r.Group}
	if r.q, err = r.s.present(ctx, r.ref.QueueRef); err != nil {
		return err
	}
	if _, err = r.s.group(ctx, r.q, r.Group); err != nil {
		return err
	}
	if r.wanted, err = filter.Compile(r.Request.Search); err != nil {
		return err
	}
	switch r.Request.Target {
	case dms.ToGroup:
		return r.s.openAgain(ctx, r.q, r.ref)
	case dms.ToQueue:
		r.target = r.q
	case dms.ToOther:
		r.target, err = r.s.present(ctx, dms.QueueRef{Project: r.s.project, Queue: r.Request.Other})
	}
	return err
}

// measure finds how far the job goes and how much there is.
func (r *redrive) measure(ctx context.Context) error {
	info, err := r.s.streamInfo(ctx, deadStream, nil)
	if absentStream(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c, _, err := r.s.reader(r.q, r.ref, dms.Dead).load(ctx)
	if err != nil {
		return err
	}
	r.Through, r.End = c.Floor, info.State.LastSeq
	if chosen := r.Request.Sequences; len(chosen) > 0 {
		r.Through, r.End = max(r.Through, chosen[0]-1), min(r.End, chosen[len(chosen)-1])
		r.Total = int64(len(chosen))
		return nil
	}
	n, err := r.s.count(ctx, deadStream, deadFilter(r.ref), c.Floor+1)
	r.Total = int64(n)
	return err
}

// count goes through what the job would, for as long as a request may take.
func (r *redrive) count(ctx context.Context) error {
	if len(r.Request.Sequences) == 0 && r.Request.Search.Empty() {
		leased, err := r.leased(ctx)
		r.Skipped = int64(len(leased))
		r.Moved = r.Total - r.Skipped
		r.State = dms.JobDone
		return err
	}
	end := time.Now().Add(peekTime * 5)
	for r.Through < r.End {
		if time.Now().After(end) {
			r.Problem = "there is too much to count in one request; the counts are of what was looked at"
			return nil
		}
		_, err := r.choose(ctx)
		if err != nil {
			return err
		}
	}
	r.State = dms.JobDone
	return nil
}

// leased are the places of dead letters that a consumer has in hand.
func (r *redrive) leased(ctx context.Context) ([]uint64, error) {
	reader := r.s.reader(r.q, r.ref, dms.Dead)
	c, _, err := reader.load(ctx)
	if err != nil || c.Lease == nil || reader.leaseLeft(c) <= 0 {
		return nil, err
	}
	return c.Lease.Seqs, nil
}

// choose reads the next dead letters and returns those that are to be moved. It moves
// Through past what it has read, and counts what it passes over and what it returns.
func (r *redrive) choose(ctx context.Context) ([]found, error) {
	batch, err := r.s.scanBytes(ctx, deadStream, deadFilter(r.ref), r.Through+1, redriveBatch, peekRead)
	if err != nil {
		return nil, err
	}
	if len(batch) == 0 {
		f, err := r.s.nextOnLeader(ctx, deadStream, deadFilter(r.ref), r.Through+1)
		if err != nil {
			return nil, err
		}
		if f == nil {
			r.Through = r.End
			return nil, nil
		}
		batch = append(batch, *f)
	}
	leased, err := r.leased(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []found
	for _, f := range batch {
		if f.seq > r.End {
			r.Through = r.End
			break
		}
		r.Through = f.seq
		if len(r.Request.Sequences) > 0 && !slices.Contains(r.Request.Sequences, f.seq) {
			continue
		}
		m, ok := inDead(f)
		if ok {
			ok, err = r.wanted.Matches(ctx, filterable(m))
		}
		if err != nil {
			return nil, err
		}
		if !ok || slices.Contains(leased, f.seq) {
			r.Skipped++
			continue
		}
		chosen = append(chosen, f)
		r.Moved++ // unless it fails
		if r.Request.Rate > 0 && len(chosen) >= r.Request.Rate {
			break // no more than a second's worth at a time
		}
	}
	return chosen, nil
}

// run works on the job until it has ended, or is somebody else's.
func (r *redrive) run(ctx context.Context) error {
	for !r.ended() {
		began := time.Now()
		before := r.jobRecord
		moved, err := r.step(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			// Nothing of the step counts; it is done again under the same ids.
			r.jobRecord = before
			r.failed(err)
		} else {
			if r.pause = 0; r.Failed == 0 {
				r.Problem = "" // it was about a step that has been done since
			}
			if r.Through >= r.End && r.State == dms.JobRunning {
				r.State = dms.JobDone
			}
		}
		if err := r.save(ctx); err != nil {
			return err
		}
		wait := r.pause
		if r.Request.Rate > 0 {
			wait = max(wait, time.Duration(moved)*time.Second/time.Duration(r.Request.Rate)-time.Since(began))
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// sleep reports whether the context is still good after the time.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed decides what becomes of the job after a step that failed as a whole.
func (r *redrive) failed(err error) {
	r.s.log.LogAttrs(r.s.base, slog.LevelWarn, "a job cannot go on at the moment", slog.String("job", string(r.id)), slog.Any("err", err))
	own, known := errors.AsType[*dms.Error](toError(err))
	r.Problem = "the service cannot store messages at the moment"
	if known && own.Message != "" {
		r.Problem = own.Message
	}
	final := known && (own.Code == dms.QueueNotFound || own.Code == dms.GroupNotFound || own.Code == dms.BadParameters)
	if final || r.Request.Stop {
		r.State = dms.JobFailed
		return
	}
	r.pause = min(max(2*r.pause, 200*time.Millisecond), jobStep/2)
}

// step moves one batch.
func (r *redrive) step(ctx context.Context) (moved int, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobStep)
	defer cancel()
	if r.wanted == nil {
		if err := r.prepare(ctx); err != nil {
			r.wanted = nil
			return 0, err
		}
	}
	if r.Through >= r.End {
		return 0, nil
	}
	chosen, err := r.choose(ctx)
	if err != nil || len(chosen) == 0 {
		return 0, err
	}
	out := make([]*outgoing, len(chosen))
	var size int64
	for i, f := range chosen {
		out[i] = r.outgoing(f)
		size += int64(len(f.payload)) + recordOverhead
	}
	settle, err := r.s.quota.reserve(ctx, size)
	if err != nil {
		return 0, err
	}
	defer settle()
	if err := r.store(ctx, out); err != nil {
		return 0, err
	}
	done := make([]uint64, 0, len(chosen))
	for i, o := range out {
		if o.stored {
			done = append(done, chosen[i].seq)
			continue
		}
		r.Moved--
		r.Failed++
		r.Problem = fmt.Sprintf("dead letter %d cannot be stored", chosen[i].seq)
		if own, ok := errors.AsType[*dms.Error](o.err); ok && own.Message != "" {
			r.Problem += ": " + own.Message
		}
		if r.Request.Stop {
			r.State = dms.JobFailed
		}
	}
	return len(done), r.s.unbury(ctx, done)
}

// save writes how far the job is. It notices when the job was cancelled, and when it is
// somebody else's.
func (r *redrive) save(ctx context.Context) error {
	for {
		revision, err := r.s.writeJob(ctx, r.id, &r.jobRecord, r.revision)
		if err == nil {
			r.revision = revision
			return nil
		}
		if !errors.Is(err, errConflict) {
			return err
		}
		now, revision, err := r.s.readJob(ctx, r.id)
		switch {
		case err != nil:
			return err
		case revision == r.revision:
			if !sleep(ctx, firstPause) { // the winning write cannot be read yet
				return context.Cause(ctx)
			}
		case revision == 0 || now.Owner != r.Owner:
			return errJobTaken
		default:
			r.revision, r.State = revision, now.State // cancelled
		}
	}
}

var errJobTaken = errors.New("another node works on the job")
