package registry

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// small are limits of which the footprint is 192 MiB.
func small() tenancy.Limits {
	return tenancy.Limits{Queues: 3, GroupsPerQueue: 2, StoredBytes: 64 << 20}
}

const footprint = 192 << 20

// storage records what it is asked to make, in place of accounts of the cluster.
type storage struct {
	mu         sync.Mutex
	made       map[tenancy.ProjectID]tenancy.Limits
	provisions int
	fail       error                                  // of every call
	hold       func(context.Context, tenancy.Project) // before every provision
}

func (s *storage) provision(ctx context.Context, p tenancy.Project) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		hold(ctx, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.provisions++
	if s.fail != nil {
		return s.fail
	}
	if s.made == nil {
		s.made = make(map[tenancy.ProjectID]tenancy.Limits)
	}
	s.made[p.ID] = p.Limits
	return nil
}

func (s *storage) remove(_ context.Context, id tenancy.ProjectID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	delete(s.made, id)
	return nil
}

func (s *storage) set(change func(*storage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// count returns the number of provisions and of what is there.
func (s *storage) count() (provisions, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.provisions, len(s.made)
}

func (s *storage) limits(id tenancy.ProjectID) tenancy.Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[id]
}

// service is an account of its own in which a test keeps its list of projects, so that
// tests do not see each other's.
type service struct {
	account tenancy.ProjectID
	storage *storage
}

func newService() service {
	return service{account: enginetest.NewProject().ID, storage: &storage{}}
}

// conn connects to the service's account through a member of the cluster.
func (s service) conn(t *testing.T, member int) *nats.Conn {
	t.Helper()
	return cluster.ConnVia(t, member, s.account)
}

// open opens the registry of one node, which makes projects by itself unless changed.
func (s service) open(t *testing.T, member int, change func(*Options)) *Registry {
	t.Helper()
	o := Options{
		Conn: s.conn(t, member), Provision: s.storage.provision, Remove: s.storage.remove,
		Defaults: small(), AutoProvision: true, TotalBytes: 100 * footprint,
	}
	if change != nil {
		change(&o)
	}
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func newID() tenancy.ProjectID { return enginetest.NewProject().ID }

func mustScan(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.scan(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func mustAdmit(t *testing.T, r *Registry, id tenancy.ProjectID) tenancy.Project {
	t.Helper()
	p, err := r.Admit(t.Context(), id, "demo")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var errBroken = errors.New("storage is broken")
