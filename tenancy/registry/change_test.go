package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
)

func TestStorageThatCannotBeMadeIsTriedAgain(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	s.storage.set(func(s *storage) { s.fail = errBroken })
	id := newID()
	if _, err := one.Admit(t.Context(), id, "demo"); !errors.Is(err, errBroken) || !errors.Is(err, tenancy.ErrUnavailable) {
		t.Fatalf("got %v, want errBroken and ErrUnavailable", err)
	}
	if _, err := one.Project(id); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("a project without storage: got %v, want ErrNoProject", err)
	}
	s.storage.set(func(s *storage) { s.fail = nil })
	// Any node goes on with it, even one that makes no projects of its own.
	two.opts.AutoProvision = false
	if got := mustAdmit(t, two, id); got.Name != "demo" {
		t.Errorf("got %+v", got)
	}
	if got := s.storage.limits(id); got != small() {
		t.Errorf("storage has %+v", got)
	}
}

func TestOldLimitsHoldUntilNewOnesDo(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	p := mustAdmit(t, r, newID())
	wider := p
	wider.Limits.Queues = 100
	s.storage.set(func(s *storage) { s.fail = errBroken })
	if err := r.Put(t.Context(), wider); !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want errBroken", err)
	}
	if got := mustAdmit(t, r, p.ID); got.Limits != p.Limits {
		t.Errorf("limits are %+v, want the old ones", got.Limits)
	}
	if err := r.Resume(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("resume while broken: got %v", err)
	}
	s.storage.set(func(s *storage) { s.fail = nil })
	other := s.open(t, 1, nil)
	if err := other.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, node := range []*Registry{r, other} {
		mustScan(t, node)
		if got := mustAdmit(t, node, p.ID); got.Limits != wider.Limits {
			t.Errorf("node %d: limits are %+v, want the new ones", i, got.Limits)
		}
	}
	if got := s.storage.limits(p.ID); got != wider.Limits {
		t.Errorf("storage has %+v", got)
	}
}

func TestDeletionIsTakenUpAgain(t *testing.T) {
	s := newService()
	r := s.open(t, 0, nil)
	kept, gone := mustAdmit(t, r, newID()), mustAdmit(t, r, newID())
	s.storage.set(func(s *storage) { s.fail = errBroken })
	if err := r.Delete(t.Context(), gone.ID); !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want errBroken", err)
	}
	// From the first step of the deletion on nobody gets in, and it is not made anew.
	for i, node := range []*Registry{r, s.open(t, 1, nil)} {
		if _, err := node.Admit(t.Context(), gone.ID, ""); !errors.Is(err, tenancy.ErrNoProject) {
			t.Errorf("node %d: got %v, want ErrNoProject", i, err)
		}
		if err := node.Put(t.Context(), gone); !errors.Is(err, tenancy.ErrNoProject) {
			t.Errorf("node %d: put: got %v, want ErrNoProject", i, err)
		}
	}
	s.storage.set(func(s *storage) { s.fail = nil })
	if err := s.open(t, 2, nil).Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustScan(t, r)
	if diff := cmp.Diff([]tenancy.Project{kept}, r.All()); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
	if _, made := s.storage.count(); made != 1 {
		t.Errorf("there is storage of %d projects, want 1", made)
	}
	if err := r.Delete(t.Context(), gone.ID); err != nil {
		t.Errorf("delete what is gone: %v", err)
	}
	if err := r.Delete(t.Context(), newID()); err != nil {
		t.Errorf("delete what never was: %v", err)
	}
	mustAdmit(t, r, gone.ID)
}

func TestNodesThatDeleteTheSameProject(t *testing.T) {
	s := newService()
	nodes := []*Registry{s.open(t, 0, nil), s.open(t, 1, nil), s.open(t, 2, nil)}
	id := mustAdmit(t, nodes[0], newID()).ID
	var wg sync.WaitGroup
	for i, r := range nodes {
		wg.Go(func() {
			if err := r.Delete(t.Context(), id); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if _, made := s.storage.count(); made != 0 {
		t.Errorf("there is storage of %d projects, want none", made)
	}
}

func TestNodesThatChangeTheSameProjectAgreeInTheEnd(t *testing.T) {
	s := newService()
	nodes := []*Registry{s.open(t, 0, nil), s.open(t, 1, nil)}
	p := mustAdmit(t, nodes[0], newID())
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			q := p
			q.Name, q.Limits.Queues = fmt.Sprint("change ", i), i+1
			if err := nodes[i%2].Put(t.Context(), q); err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var got []tenancy.Project
	for i, r := range nodes {
		mustScan(t, r)
		e, _ := r.get(p.ID)
		if !e.settled() {
			t.Errorf("node %d: something is left to do: %+v", i, e.rec)
		}
		got = append(got, mustAdmit(t, r, p.ID))
	}
	if got[0] != got[1] {
		t.Errorf("nodes differ: %+v, %+v", got[0], got[1])
	}
	if made := s.storage.limits(p.ID); made != got[0].Limits {
		t.Errorf("storage has %+v, the record %+v", made, got[0].Limits)
	}
	if want := fmt.Sprint("change ", got[0].Limits.Queues-1); got[0].Name != want {
		t.Errorf("two changes are mixed: %+v", got[0])
	}
}

func TestProjectWithoutRoomLeavesNothingBehind(t *testing.T) {
	s := newService()
	r := s.open(t, 0, func(o *Options) { o.TotalBytes = 2*footprint + footprint/2 })
	kept := []tenancy.Project{mustAdmit(t, r, newID()), mustAdmit(t, r, newID())}
	id := newID()
	for range 2 {
		if _, err := r.Admit(t.Context(), id, ""); !errors.Is(err, ErrFull) || errors.Is(err, tenancy.ErrUnavailable) {
			t.Fatalf("got %v, want ErrFull alone", err)
		}
	}
	if e, _ := r.get(id); e.rec != nil {
		t.Errorf("its record is %+v", e.rec)
	}
	if _, made := s.storage.count(); made != 2 {
		t.Errorf("there is storage of %d projects, want 2", made)
	}
	// A project that is in use keeps what it has when there is no room for more.
	wider := kept[0]
	wider.Name, wider.Limits.StoredBytes = "wider", 1<<40
	if err := r.Put(t.Context(), wider); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	e, _ := r.get(wider.ID)
	if got := mustAdmit(t, r, wider.ID); got != kept[0] || !e.settled() {
		t.Errorf("after a change that does not fit: %+v, %+v", got, e.rec)
	}
	// Deleting one makes room.
	if err := r.Delete(t.Context(), kept[1].ID); err != nil {
		t.Fatal(err)
	}
	mustAdmit(t, r, id)
}

func TestProjectsNeverPromiseMoreThanThereIs(t *testing.T) {
	s := newService()
	const room = 3
	var nodes []*Registry
	for i := range 3 {
		nodes = append(nodes, s.open(t, i, func(o *Options) { o.TotalBytes = room * footprint }))
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			if _, err := nodes[i%3].Admit(t.Context(), newID(), ""); err != nil && !errors.Is(err, ErrFull) {
				t.Errorf("got %v, want nil or ErrFull", err)
			}
		})
	}
	wg.Wait()
	for i, r := range nodes {
		mustScan(t, r)
		if got := len(r.All()); got > room {
			t.Errorf("node %d: there are %d projects, room is for %d", i, got, room)
		}
		if used := r.used(); used > room*footprint {
			t.Errorf("node %d: projects may hold %d bytes, room is for %d", i, used, room*footprint)
		}
	}
	// All that were refused are out of the way of those that fit.
	for len(nodes[0].All()) < room {
		mustAdmit(t, nodes[0], newID())
	}
}

func TestRecordsOfALaterVersionCanBeRead(t *testing.T) {
	got, err := decode([]byte(`{"name":"x","limits":{"queues":1,"groups_per_queue":2,"stored_bytes":3,"new":4},"applied":{"queues":1,"groups_per_queue":2,"stored_bytes":3},"also":{"new":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &record{Name: "x", Limits: limits{1, 2, 3}, Applied: &limits{1, 2, 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}
