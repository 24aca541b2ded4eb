package trail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestTheChainHoldsWithThreeWriters lets three nodes write to one trail at once.
func TestTheChainHoldsWithThreeWriters(t *testing.T) {
	project := newProject(t)
	const each, writers = 20, 2
	var work sync.WaitGroup
	var trails []*Trail
	for node := range 3 {
		tr := trailOf(t, node, nil)
		trails = append(trails, tr)
		for w := range writers {
			work.Go(func() { // awaited below
				for i := range each {
					r := change(i)
					r.RequestID = fmt.Sprintf("%d-%d-%d", node, w, i)
					if err := tr.Write(t.Context(), project, r); err != nil {
						t.Errorf("node %d: %v", node, err)
					}
				}
			})
		}
	}
	work.Wait()
	for _, tr := range trails {
		seen := make(map[string]int)
		for _, e := range all(t, tr, project) {
			seen[e.Record.RequestID]++
			if e.Record.Node != "n"+string(e.Record.RequestID[0]+1) {
				t.Errorf("record %s is of node %s", e.Record.RequestID, e.Record.Node)
			}
		}
		if len(seen) != 3*writers*each {
			t.Errorf("%d records, want %d", len(seen), 3*writers*each)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("record %s is there %d times", id, n)
			}
		}
	}
}

// TestARecordWhoseStorageWasUncertainIsStoredOnce cuts the connection again and again
// while records are written.
func TestARecordWhoseStorageWasUncertainIsStoredOnce(t *testing.T) {
	project := newProject(t)
	var mu sync.Mutex
	var open []*nats.Conn
	tr := trailOf(t, 0, func(o *Options) {
		connect := o.Connect
		o.Connect = func(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
			nc, err := connect(ctx, id)
			if err == nil {
				mu.Lock()
				open = append(open, nc)
				mu.Unlock()
			}
			return nc, err
		}
	})
	if err := tr.Ready(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() { // ends with stop
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			mu.Lock()
			for _, nc := range open {
				nc.Close()
			}
			open = nil
			mu.Unlock()
		}
	})
	const n = 25
	for i := range n {
		// What is cut off before its time is over is tried again; what is not stored by
		// then is written later.
		_ = tr.Write(t.Context(), project, change(i))
	}
	close(stop)
	cutter.Wait()
	enginetest.Wait(t, func() string {
		if left := tr.flush(t.Context(), false); left > 0 {
			return fmt.Sprint(left, " records are left")
		}
		return ""
	})
	var got []string
	for _, e := range all(t, tr, project) {
		got = append(got, e.Record.RequestID)
	}
	slices.Sort(got)
	var want []string
	for i := range n {
		want = append(want, change(i).RequestID)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestAnAttemptThatWasStoredAfterAllIsNotRepeated(t *testing.T) {
	project := newProject(t)
	tr := trailOf(t, 0, nil)
	e := &entry{record: change(1)}
	err := tr.with(t.Context(), project, func(ctx context.Context, l *ledger) error {
		if err := l.append(ctx, e); err != nil {
			return err
		}
		if e.tried == nil {
			t.Fatal("the entry does not know of its attempt")
		}
		l.known = false
		for range 3 { // as if no answer had come
			if err := l.append(ctx, e); err != nil {
				return err
			}
		}
		other := &entry{record: change(2)}
		stale := &entry{record: change(3), tried: &attempt{id: "x", sequence: 2, data: []byte("{}"), hash: []byte("x")}}
		return errors.Join(l.append(ctx, other), l.append(ctx, stale), l.append(ctx, e), l.append(ctx, other))
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all(t, tr, project) {
		got = append(got, e.Record.RequestID)
	}
	if diff := cmp.Diff([]string{"request-1", "request-2", "request-3"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestPagesAreStableInBothDirections(t *testing.T) {
	project := newProject(t)
	tr := trailOf(t, 0, nil)
	const n = 30
	for i := range n {
		if err := tr.Write(t.Context(), project, change(i)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(q audit.Query, between func()) (got []string) {
		t.Helper()
		for {
			page, err := tr.Page(t.Context(), project, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				got = append(got, e.Record.RequestID)
			}
			if page.Next == 0 {
				return got
			}
			q.After = page.Next
			between()
		}
	}
	want := func(keep func(i int) bool, backwards bool) (ids []string) {
		for i := range n {
			if keep(i) {
				ids = append(ids, change(i).RequestID)
			}
		}
		if backwards {
			slices.Reverse(ids)
		}
		return ids
	}
	nothing := func() {}
	every := func(int) bool { return true }
	from, to := change(10).Time, change(20).Time
	for name, row := range map[string]struct {
		q    audit.Query
		want []string
	}{
		"oldest first":  {audit.Query{OldestFirst: true, Limit: 7}, want(every, false)},
		"newest first":  {audit.Query{Limit: 7}, want(every, true)},
		"one at a time": {audit.Query{Limit: 1}, want(every, true)},
		"all at once":   {audit.Query{Limit: 200}, want(every, true)},
		"an action":     {audit.Query{Limit: 3, Action: "action1"}, want(func(i int) bool { return i%3 == 1 }, true)},
		"an actor":      {audit.Query{Limit: 3, Actor: "user1", OldestFirst: true}, want(func(i int) bool { return i%2 == 1 }, false)},
		"a time":        {audit.Query{Limit: 4, From: from, To: to}, want(func(i int) bool { return i >= 10 && i < 20 }, true)},
		"nobody":        {audit.Query{Limit: 4, Actor: "nobody"}, nil},
	} {
		if diff := cmp.Diff(row.want, read(row.q, nothing)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// What is written while somebody turns pages, newest first, does not move them.
	i := n
	got := read(audit.Query{Limit: 7}, func() {
		if err := tr.Write(t.Context(), project, change(i)); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if diff := cmp.Diff(want(every, true), got); diff != "" {
		t.Errorf("pages while records are written (-want +got):\n%s", diff)
	}
}

func TestCountsAreWrittenWhenTheTrailIsClosed(t *testing.T) {
	project := newProject(t)
	tr := trailOf(t, 0, nil)
	for range 5 {
		tr.Note(project, audit.Use, audit.Count{Action: "sendMessages", Actor: audit.Actor{KeyID: "K"}})
		tr.Note(project, audit.Refusal, audit.Count{Code: "DMS.10240311", Source: "192.0.2.1"})
	}
	tr.Close(t.Context())
	var calls []int64
	for _, e := range all(t, trailOf(t, 1, nil), project) {
		for _, c := range e.Record.Counts {
			calls = append(calls, c.Calls)
		}
	}
	if !slices.Equal(calls, []int64{5, 5}) {
		t.Errorf("counts of %v calls, want two of 5", calls)
	}
	if err := tr.Ready(t.Context(), project); !errors.Is(err, errClosed) {
		t.Errorf("a closed trail is ready: %v", err)
	}
}

func TestAForgedRecordIsFound(t *testing.T) {
	project := newProject(t)
	tr := trailOf(t, 0, nil)
	write := func(i int) {
		t.Helper()
		if err := tr.Write(t.Context(), project, change(i)); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	write(2)
	js, err := jetstream.New(cluster.Conn(t, project))
	if err != nil {
		t.Fatal(err)
	}
	// Whoever has the account can add to the stream, but has not the key.
	if _, err := js.Publish(t.Context(), subject, []byte(`{"record":{},"previous":null,"hash":null}`)); err != nil {
		t.Fatal(err)
	}
	write(4) // goes on all the same
	got, err := tr.Verify(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	if got.Broken == nil || got.Broken.Sequence != 3 || got.Records != 2 {
		t.Errorf("report %+v, want a break at 3", got)
	}
	page, err := tr.Page(t.Context(), project, audit.Query{Limit: 10})
	if err != nil || len(page.Entries) != 3 {
		t.Errorf("%d records are shown, %v, want the 3 that are ours", len(page.Entries), err)
	}
	// Records can be neither deleted nor purged.
	s, err := js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a record was deleted")
	}
	if err := s.Purge(t.Context()); err == nil {
		t.Error("the trail was purged")
	}
	config := s.CachedInfo().Config
	config.DenyDelete, config.DenyPurge = false, false
	if _, err := js.UpdateStream(t.Context(), config); err == nil {
		t.Error("the protection was taken off")
	}
}

func TestTheStreamIsReplicatedAndBounded(t *testing.T) {
	project := newProject(t)
	tr := trailOf(t, 0, nil)
	if err := tr.Ready(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(cluster.Conn(t, project))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	if c.Replicas != 3 || c.Storage != jetstream.FileStorage || c.MaxAge != DefaultKeep || c.MaxBytes != tenancy.AuditBytes {
		t.Errorf("the stream is %+v", c)
	}
}

func TestATrailOfNoProjectIsNone(t *testing.T) {
	tr := trailOf(t, 0, nil)
	absent := enginetest.NewProject().ID
	if err := tr.Ready(t.Context(), absent); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("ready: %v", err)
	}
	if err := tr.Write(t.Context(), absent, change(1)); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("write: %v", err)
	}
	tr.Note(absent, audit.Use, audit.Count{Action: "a"}) // is dropped when the trail closes
}

// TestWithoutAQuorumNothingIsReady needs a cluster of its own, to take two members away.
func TestWithoutAQuorumNothingIsReady(t *testing.T) {
	c := enginetest.Start(t)
	project := enginetest.NewProject().ID
	c.Conn(t, project)
	tr := trailOf(t, 0, func(o *Options) { o.Connect = c.Accounts().Connect })
	if err := tr.Write(t.Context(), project, change(1)); err != nil {
		t.Fatal(err)
	}
	c.Kill(1)
	c.Kill(2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := tr.Write(ctx, project, change(2)); !errors.Is(err, tenancy.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write without a quorum: %v", err)
	}
	c.Restart(t, 1)
	// What could not be written is written now, once.
	enginetest.Wait(t, func() string {
		if left := tr.flush(t.Context(), false); left > 0 {
			return fmt.Sprint(left, " records are left")
		}
		return ""
	})
	var got []string
	for _, e := range all(t, tr, project) {
		got = append(got, e.Record.RequestID)
	}
	if diff := cmp.Diff([]string{"request-1", "request-2"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
