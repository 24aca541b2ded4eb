package registry

import (
	"errors"
	"sync"
	"testing"

	"dms/tenancy"
)

func TestBoundOnlyIsASwitchOfTheRecord(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := mustAdmit(t, one, newID())
	if p.BoundOnly {
		t.Error("a new project admits only bound tokens")
	}
	if err := one.SetBoundOnly(t.Context(), p.ID, true); err != nil {
		t.Fatal(err)
	}
	// Put is about other things, and on the other node.
	p.Name = "renamed"
	mustScan(t, two)
	if err := two.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for i, r := range []*Registry{one, two} {
		mustScan(t, r)
		if got := mustAdmit(t, r, p.ID); !got.BoundOnly || got.Name != "renamed" {
			t.Errorf("node %d: got %+v", i, got)
		}
	}
	if provisions, _ := s.storage.count(); provisions != 2 {
		t.Errorf("storage was prepared %d times, want once for the project and once for Put", provisions)
	}
	if err := two.SetBoundOnly(t.Context(), p.ID, false); err != nil {
		t.Fatal(err)
	}
	mustScan(t, one)
	if mustAdmit(t, one, p.ID).BoundOnly {
		t.Error("the switch cannot be set back")
	}
}

func TestTheSwitchSurvivesChangesAtTheSameTime(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := mustAdmit(t, one, newID())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 10 {
			wider := p
			wider.Limits.Queues = 10 + i
			if err := two.Put(t.Context(), wider); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range 11 {
			if err := one.SetBoundOnly(t.Context(), p.ID, i%2 == 0); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	mustScan(t, one)
	if got := mustAdmit(t, one, p.ID); !got.BoundOnly || got.Limits.Queues != 19 {
		t.Errorf("got %+v, want the last of both", got)
	}
}

func TestTheSwitchOfNoProject(t *testing.T) {
	r := newService().open(t, 0, nil)
	gone := mustAdmit(t, r, newID())
	if err := r.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]tenancy.ProjectID{"unknown": newID(), "deleted": gone.ID, "malformed": "x"} {
		if err := r.SetBoundOnly(t.Context(), id, true); !errors.Is(err, tenancy.ErrNoProject) {
			t.Errorf("%s: got %v, want ErrNoProject", name, err)
		}
	}
}
