package keystore

import (
	"sync"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/seal"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// service is an account of its own in which a test keeps its keys, so that tests do not
// see each other's, and the clock of its nodes.
type service struct {
	account tenancy.ProjectID

	mu    sync.Mutex
	ahead time.Duration // of the true time
}

func newService() *service { return &service{account: enginetest.NewProject().ID} }

func (s *service) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

func (s *service) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

func sealing(id byte) seal.Key {
	k := seal.Key{ID: id}
	for i := range k.Secret {
		k.Secret[i] = id + byte(i)
	}
	return k
}

// open opens the store of one node.
func (s *service) open(t *testing.T, member int, change func(*Options)) *Store {
	t.Helper()
	o := Options{Conn: cluster.ConnVia(t, member, s.account), Sealing: []seal.Key{sealing(1)}, Now: s.now}
	if change != nil {
		change(&o)
	}
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// manager is a caller who may make keys of the project.
func manager(project tenancy.ProjectID) tenancy.Identity {
	return tenancy.Identity{Issuer: "https://idp.test", Subject: "alice", Grants: map[tenancy.ProjectID]tenancy.Grant{
		project: {Roles: []tenancy.Role{tenancy.Manager}},
	}}
}

func roles(r ...tenancy.Role) tenancy.NewAccessKey {
	return tenancy.NewAccessKey{KeyScope: tenancy.KeyScope{Roles: r}}
}
