package accounts_test

import (
	"errors"
	"sync"
	"testing"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/accounts"
)

func TestProvisioningTwiceKeepsConnectionsAndData(t *testing.T) {
	p, js := filled(t, cluster, "hello")
	before := js.Conn().Stats().Reconnects
	for range 3 {
		if err := cluster.AccountsVia(1).Provision(t.Context(), p); err != nil {
			t.Fatalf("provision: %v", err)
		}
	}
	holdsHello(t, js)
	if after := js.Conn().Stats().Reconnects; after != before {
		t.Errorf("the connection was made again %d times", after-before)
	}
}

func TestAnAbsentProjectIsNotConnected(t *testing.T) {
	p := enginetest.NewProject()
	if _, err := cluster.Accounts().Connect(t.Context(), p.ID); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("got error %v, want %v", err, tenancy.ErrNoProject)
	}
	if exists, err := cluster.Accounts().Exists(t.Context(), p.ID); err != nil || exists {
		t.Errorf("exists: got %v, %v, want false", exists, err)
	}
}

// The last node hears of an account a moment after the majority, and until then
// refuses its users.
func TestAProjectJustMadeIsConnectedThroughEveryNode(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			p := enginetest.NewProject()
			if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
				t.Errorf("provision: %v", err)
				return
			}
			for i := range 3 {
				nc, err := cluster.AccountsVia(i).Connect(t.Context(), p.ID)
				if err != nil {
					t.Errorf("connect through member %d: %v", i, err)
					continue
				}
				nc.Close()
			}
		})
	}
	wg.Wait()
}

func TestAMalformedProjectIDIsRefused(t *testing.T) {
	for _, id := range []tenancy.ProjectID{"", "x", "Control", "0123456789ABCDEF0123456789ABCDEF", "../etc"} {
		p := tenancy.Project{ID: id, Limits: tenancy.DefaultLimits()}
		if err := cluster.Accounts().Provision(t.Context(), p); !errors.Is(err, tenancy.ErrBadProjectID) {
			t.Errorf("provision %q: got error %v, want %v", id, err, tenancy.ErrBadProjectID)
		}
		if _, err := cluster.Accounts().Connect(t.Context(), id); !errors.Is(err, tenancy.ErrBadProjectID) {
			t.Errorf("connect %q: got error %v, want %v", id, err, tenancy.ErrBadProjectID)
		}
	}
}

func TestTheControlAccountStoresLikeAProject(t *testing.T) {
	js := stream(t, cluster.Conn(t, accounts.Control))
	if _, err := js.CreateOrUpdateStream(t.Context(), queue()); err != nil {
		t.Errorf("create stream: %v", err)
	}
}

func TestAccountsSurviveARestartOfAllMembers(t *testing.T) {
	c := enginetest.Start(t)
	p, js := filled(t, c, "hello")
	c.WaitReady(t)
	for i := range 3 {
		c.Kill(i)
	}
	for i := range 3 {
		if err := c.Trio().Restart(i); err != nil {
			t.Fatalf("restart member %d: %v", i, err)
		}
	}
	c.WaitReady(t)
	// The old connections come back by themselves, and a new one needs no provisioning.
	fresh, err := c.AccountsVia(2).Connect(t.Context(), p.ID)
	if err != nil {
		t.Fatalf("connect after the restart: %v", err)
	}
	t.Cleanup(fresh.Close)
	holdsHello(t, js)
	holdsHello(t, stream(t, fresh))
}

func TestProvisioningWithAMemberDownConverges(t *testing.T) {
	c := enginetest.Start(t)
	c.Kill(2)
	p := enginetest.NewProject()
	c.ConnVia(t, 0, p.ID)
	c.Restart(t, 2)
	nc, err := c.AccountsVia(2).Connect(t.Context(), p.ID)
	if err != nil {
		t.Fatalf("connect through the member that was down: %v", err)
	}
	t.Cleanup(nc.Close)
	c.WaitReady(t)
	// A stream is not made before: soon after a member is lost the cluster refuses to
	// place three replicas on two.
	js := stream(t, nc)
	enginetest.Wait(t, func() string { // the lead of the cluster may have to move first
		if _, err := js.CreateOrUpdateStream(t.Context(), queue()); err != nil {
			return err.Error()
		}
		return ""
	})
	if _, err := js.Publish(t.Context(), "q.1.a", []byte("hello"), patient()...); err != nil {
		t.Fatalf("publish: %v", err)
	}
	holdsHello(t, js)
}

func TestProvisioningWithoutAMajorityIsRefused(t *testing.T) {
	c := enginetest.Start(t)
	c.Kill(1)
	c.Kill(2)
	err := c.Accounts().Provision(t.Context(), enginetest.NewProject())
	if !errors.Is(err, accounts.ErrUnavailable) {
		t.Errorf("got error %v, want %v", err, accounts.ErrUnavailable)
	}
}

func TestANewProjectStoresAtOnce(t *testing.T) {
	for i := range 30 {
		js := stream(t, cluster.ConnVia(t, i%3, enginetest.NewProject().ID))
		if _, err := js.CreateStream(t.Context(), queue()); err != nil {
			t.Fatalf("create stream in project %d: %v", i, err)
		}
	}
}
