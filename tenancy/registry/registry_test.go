package registry

import (
	"bytes"
	"context"
	"errors"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/records"
)

func TestFirstUseMakesAProjectOnceOnAllNodes(t *testing.T) {
	s := newService()
	nodes := []*Registry{s.open(t, 0, nil), s.open(t, 1, nil), s.open(t, 2, nil)}
	id := newID()
	want := tenancy.Project{ID: id, Name: "demo", Limits: small()}
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			got, err := nodes[i%3].Admit(t.Context(), id, "demo")
			if err != nil {
				t.Errorf("node %d: %v", i%3, err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("node %d (-want +got):\n%s", i%3, diff)
			}
		})
	}
	wg.Wait()
	if provisions, _ := s.storage.count(); provisions > 3 {
		t.Errorf("%d provisions, want at most one per node", provisions)
	}
	for i, r := range nodes {
		mustScan(t, r)
		if diff := cmp.Diff([]tenancy.Project{want}, r.All()); diff != "" {
			t.Errorf("all projects of node %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestKnownProjectIsAdmittedWithoutTheCluster(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	want := mustAdmit(t, r, newID())
	r.opts.Conn.Close()
	got, err := r.Admit(t.Context(), want.ID, "another name")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("project (-want +got):\n%s", diff)
	}
	if _, err := r.Project(want.ID); err != nil {
		t.Errorf("project: %v", err)
	}
	// What is not known cannot be decided now.
	if _, err := r.Admit(t.Context(), newID(), ""); !errors.Is(err, tenancy.ErrUnavailable) || errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("unknown project without the cluster: got %v, want ErrUnavailable", err)
	}
}

func TestWithoutAutoProvisionProjectsMustBePut(t *testing.T) {
	s := newService()
	by := func(o *Options) { o.AutoProvision = false }
	one, two := s.open(t, 0, by), s.open(t, 1, by)
	p := tenancy.Project{ID: newID(), Name: "put", Limits: small()}
	for range 2 {
		if _, err := two.Admit(t.Context(), p.ID, ""); !errors.Is(err, tenancy.ErrNoProject) {
			t.Fatalf("got %v, want ErrNoProject", err)
		}
	}
	if _, err := two.Project(p.ID); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("got %v, want ErrNoProject", err)
	}
	if err := one.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	// At once, whatever the other node has in memory.
	got, err := two.Admit(t.Context(), p.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("project (-want +got):\n%s", diff)
	}
}

func TestMalformedProjectsAreRefused(t *testing.T) {
	r := newService().open(t, 0, nil)
	for _, id := range []tenancy.ProjectID{"", "x", "*", "0123456789ABCDEF0123456789ABCDEF", "control"} {
		if _, err := r.Admit(t.Context(), id, ""); !errors.Is(err, tenancy.ErrBadProjectID) {
			t.Errorf("admit %q: got %v, want ErrBadProjectID", id, err)
		}
		if err := r.Put(t.Context(), tenancy.Project{ID: id, Limits: small()}); !errors.Is(err, tenancy.ErrBadProjectID) {
			t.Errorf("put %q: got %v, want ErrBadProjectID", id, err)
		}
	}
	if err := r.Put(t.Context(), tenancy.Project{ID: newID()}); err == nil {
		t.Error("a project without limits was put")
	}
}

func TestListSurvivesARestart(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	for range 5 {
		mustAdmit(t, r, newID())
	}
	p := tenancy.Project{ID: newID(), Name: "put", Limits: small()}
	p.Limits.Queues = 400
	if err := r.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	gone := mustAdmit(t, r, newID())
	if err := r.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	want := r.All()
	if len(want) != 6 {
		t.Fatalf("there are %d projects, want 6", len(want))
	}
	r.Close()
	if diff := cmp.Diff(want, s.open(t, 2, nil).All()); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
}

func TestChangesReachOtherNodesByThemselves(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := mustAdmit(t, one, newID())
	mustAdmit(t, two, p.ID)
	p.Limits.Queues = 17
	if err := one.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	enginetest.Wait(t, func() string {
		if got, err := two.Project(p.ID); err != nil || got != p {
			return "the other node has not seen the change"
		}
		return ""
	})
	if err := one.Delete(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	enginetest.Wait(t, func() string {
		if _, err := two.Project(p.ID); err == nil {
			return "the other node has not seen the deletion"
		}
		return ""
	})
}

func TestProjectsAreMadeWithOneMemberDown(t *testing.T) {
	s := newService()
	r := s.open(t, 1, nil)
	before := mustAdmit(t, r, newID())
	cluster.Kill(0)
	defer cluster.Restart(t, 0)
	id := newID()
	enginetest.Wait(t, func() string {
		if _, err := r.Admit(t.Context(), id, "demo"); err != nil {
			return err.Error()
		}
		return ""
	})
	if got := s.open(t, 2, nil).All(); len(got) != 2 {
		t.Errorf("another node has %d projects, want 2 with %s", len(got), before.ID)
	}
}

func TestBucketIsReadFromItsLeader(t *testing.T) {
	s := newService()
	s.open(t, 0, nil)
	js, err := jetstream.New(s.conn(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_projects")
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.AllowDirect || c.Replicas != 3 || c.MaxAge != 0 || c.Storage != jetstream.FileStorage {
		t.Errorf("bucket is %+v", c)
	}
}

func TestUnsafeBucketIsRefused(t *testing.T) {
	s := newService()
	js, err := jetstream.New(s.conn(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	// As the key-value API makes it: with direct gets.
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "projects", Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{
		Conn: s.conn(t, 0), Provision: s.storage.provision, Remove: s.storage.remove, Defaults: small(), TotalBytes: footprint,
	})
	if !errors.Is(err, records.ErrUnsafe) {
		t.Errorf("got %v, want ErrUnsafe", err)
	}
}

func TestOpenChecksItsOptions(t *testing.T) {
	s := newService()
	good := Options{
		Conn: s.conn(t, 0), Provision: s.storage.provision, Remove: s.storage.remove, Defaults: small(), TotalBytes: footprint,
	}
	for name, change := range map[string]func(*Options){
		"no connection": func(o *Options) { o.Conn = nil },
		"no provision":  func(o *Options) { o.Provision = nil },
		"no remove":     func(o *Options) { o.Remove = nil },
		"no defaults":   func(o *Options) { o.Defaults = tenancy.Limits{} },
		"no room":       func(o *Options) { o.TotalBytes = 0 },
	} {
		o := good
		change(&o)
		if r, err := Open(t.Context(), o); err == nil {
			r.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	s := newService()
	nc := s.conn(t, 0)
	nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, Options{
		Conn: nc, Provision: s.storage.provision, Remove: s.storage.remove, Defaults: small(), TotalBytes: footprint,
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

func TestCallersDoNotWaitBeyondTheirTime(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	id, entered, release := newID(), make(chan struct{}), make(chan struct{})
	s.storage.set(func(s *storage) {
		s.hold = func(_ context.Context, p tenancy.Project) {
			if p.ID == id {
				close(entered)
				<-release
			}
		}
	})
	first := make(chan error, 1)
	go func() { // ends with release, awaited below
		_, err := r.Admit(t.Context(), id, "demo")
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Admit(ctx, id, "demo"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, tenancy.ErrUnavailable) {
		t.Errorf("got %v, want DeadlineExceeded and ErrUnavailable", err)
	}
	// Other projects do not wait for this one.
	mustAdmit(t, r, newID())
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first caller: %v", err)
	}
	r.locks.mu.Lock()
	defer r.locks.mu.Unlock()
	if len(r.locks.holds) != 0 {
		t.Errorf("%d locks are left", len(r.locks.holds))
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	r := newService().open(t, 0, nil)
	enginetest.Wait(t, func() string {
		if !running(t) {
			return "an open registry is not seen among the goroutines"
		}
		return ""
	})
	r.Close()
	if running(t) {
		t.Error("a closed registry is still running")
	}
}

// running reports whether any goroutine is in this package's background work. Those of
// the cluster in this process come and go as they like.
func running(t *testing.T) bool {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b.Bytes(), []byte("registry.(*Registry).refresh("))
}

func TestProjectsOfTheRealCluster(t *testing.T) {
	s := newService()
	accounts := cluster.Accounts()
	r := s.open(t, 0, func(o *Options) { o.Provision, o.Remove = accounts.Provision, accounts.Delete })
	id := newID()
	for round := range 2 {
		mustAdmit(t, r, id)
		nc, err := accounts.Connect(t.Context(), id)
		if err != nil {
			t.Fatalf("round %d: connect: %v", round, err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		// A stream of the round before would be a name that is taken.
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3}); err != nil {
			t.Fatalf("round %d: create stream: %v", round, err)
		}
		if _, err := js.Publish(t.Context(), "q.1.x", []byte("data"), jetstream.WithRetryAttempts(100), jetstream.WithRetryWait(100*time.Millisecond)); err != nil {
			t.Fatalf("round %d: publish: %v", round, err)
		}
		nc.Close()
		if err := r.Delete(t.Context(), id); err != nil {
			t.Fatalf("round %d: delete: %v", round, err)
		}
		if there, err := accounts.Exists(t.Context(), id); err != nil || there {
			t.Errorf("round %d: account is there: %t, %v", round, there, err)
		}
	}
}
