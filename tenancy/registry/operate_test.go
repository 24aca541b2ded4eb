package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"dms/tenancy"
)

func TestCreateMakesAProjectOnce(t *testing.T) {
	s := newService()
	nodes := []*Registry{s.open(t, 0, nil), s.open(t, 1, nil), s.open(t, 2, nil)}
	p := tenancy.Project{ID: newID(), Name: "one", Limits: small()}
	errs := make([]error, len(nodes))
	var work sync.WaitGroup
	for i, r := range nodes {
		work.Go(func() { errs[i] = r.Create(t.Context(), p) }) // awaited below
	}
	work.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, tenancy.ErrExists) || errors.Is(err, tenancy.ErrUnavailable):
			t.Errorf("got %v, want ErrExists alone", err)
		}
	}
	if made != 1 {
		t.Errorf("%d nodes made the project, want one: %v", made, errs)
	}
	bad := tenancy.Project{ID: newID()}
	if err := nodes[0].Create(t.Context(), bad); err == nil {
		t.Error("a project without limits is made")
	}
	if err := nodes[0].Create(t.Context(), tenancy.Project{ID: tenancy.Control, Limits: small()}); !errors.Is(err, tenancy.ErrBadProjectID) {
		t.Errorf("the service's own account is made a project: %v", err)
	}
}

func TestChangesOfSeveralNodesAreAllMade(t *testing.T) {
	s := newService()
	nodes := []*Registry{s.open(t, 0, nil), s.open(t, 1, nil), s.open(t, 2, nil)}
	p := tenancy.Project{ID: newID(), Limits: small()}
	if err := nodes[0].Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	const each = 5
	var work sync.WaitGroup
	for _, r := range nodes {
		work.Go(func() { // awaited below
			for range each {
				_, err := r.Change(t.Context(), p.ID, func(p tenancy.Project) (tenancy.Project, error) {
					p.Limits.Queues++
					return p, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	mustScan(t, nodes[0])
	got, err := nodes[0].Project(p.ID)
	if want := p.Limits.Queues + 3*each; err != nil || got.Limits.Queues != want {
		t.Errorf("the project has %d queues, %v, want %d", got.Limits.Queues, err, want)
	}
	refusal := errors.New("no")
	if _, err := nodes[0].Change(t.Context(), p.ID, func(p tenancy.Project) (tenancy.Project, error) { return p, refusal }); err != refusal { //nolint:errorlint // as it is
		t.Errorf("a change that is refused: %v", err)
	}
	if _, err := nodes[0].Change(t.Context(), newID(), func(p tenancy.Project) (tenancy.Project, error) { return p, nil }); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("a change of nothing: %v", err)
	}
}

func TestProjectsOfAnEarlierLayoutAreProvisionedAgain(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	p := mustAdmit(t, r, newID())
	e, err := r.read(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	old := *e.rec
	old.Layout = 0 // as an earlier version wrote it
	if _, err := r.write(t.Context(), p.ID, e.revision, old); err != nil {
		t.Fatal(err)
	}
	if got := mustAdmit(t, r, p.ID); got != p {
		t.Errorf("meanwhile the project is %+v, want %+v", got, p)
	}
	before, _ := s.storage.count()
	// There need not be room for what is there already.
	next := s.open(t, 1, func(o *Options) { o.TotalBytes = footprint / 2 })
	for range 2 {
		if err := next.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := s.storage.count(); after != before+1 {
		t.Errorf("it was provisioned %d times, want once", after-before)
	}
	if e, _ := next.get(p.ID); !e.settled() {
		t.Errorf("the record is %+v", fmt.Sprint(e.rec))
	}
}
