package accounts_test

import (
	"errors"
	"fmt"
	"testing"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/accounts"

	"github.com/nats-io/nats-server/v2/server"
)

func TestDeleteRemovesTheDataAndARecreatedProjectIsEmpty(t *testing.T) {
	p, _ := filled(t, cluster, "hello")
	a := cluster.Accounts()
	other := cluster.ConnVia(t, 1, p.ID)
	if err := a.Delete(t.Context(), p.ID); err != nil {
		t.Fatalf("delete: %v", err)
	}
	account, err := a.ID(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range cluster.Members() {
		info, err := m.Jsz(&server.JSzOptions{Account: account})
		if err != nil {
			t.Fatalf("%s: %v", m.Name(), err)
		}
		for _, d := range info.AccountDetails {
			if len(d.Streams) > 0 {
				t.Errorf("%s still has %d streams of the account", m.Name(), len(d.Streams))
			}
		}
	}
	if exists, err := a.Exists(t.Context(), p.ID); err != nil || exists {
		t.Errorf("exists: got %v, %v, want false", exists, err)
	}
	if _, err := a.Connect(t.Context(), p.ID); !errors.Is(err, tenancy.ErrNoProject) {
		t.Errorf("connect: got error %v, want %v", err, tenancy.ErrNoProject)
	}
	enginetest.Wait(t, func() string {
		if !other.IsClosed() {
			return "a connection of another node is not closed"
		}
		return ""
	})
	if err := a.Delete(t.Context(), p.ID); err != nil {
		t.Errorf("delete again: %v", err)
	}
	js := stream(t, cluster.Conn(t, p.ID))
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("the recreated project has the stream %s", name)
	}
	if _, err := js.CreateStream(t.Context(), queue()); err != nil {
		t.Errorf("create stream in the recreated project: %v", err)
	}
	if got, err := stored(t.Context(), js); err != nil || len(got) > 0 {
		t.Errorf("recreated queue holds %q, %v, want nothing", got, err)
	}
}

func TestDeleteWaitsForANodeThatIsDown(t *testing.T) {
	c := enginetest.Start(t)
	p, _ := filled(t, c, "hello")
	c.WaitReady(t)
	a := c.Accounts()
	c.Kill(2)
	if err := a.Delete(t.Context(), p.ID); !errors.Is(err, accounts.ErrUnavailable) {
		t.Errorf("delete with a member down: got error %v, want %v", err, accounts.ErrUnavailable)
	}
	c.Restart(t, 2)
	enginetest.Wait(t, func() string {
		if err := a.Delete(t.Context(), p.ID); err != nil {
			return err.Error()
		}
		return ""
	})
	for i := range 3 {
		if exists, err := c.AccountsVia(i).Exists(t.Context(), p.ID); err != nil || exists {
			t.Errorf("exists through member %d: got %v, %v, want false", i, exists, err)
		}
	}
	js := stream(t, c.ConnVia(t, 2, p.ID))
	for name := range js.StreamNames(t.Context()).Name() {
		t.Error(fmt.Errorf("the recreated project has the stream %s", name))
	}
}
