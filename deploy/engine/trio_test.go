package engine

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

func TestThreeMembersBecomeReadyAndAgreeOnOneLeader(t *testing.T) {
	trio := start(t)
	waitReady(t, trio)
	leaders := 0
	for _, m := range trio.Members() {
		if m.IsClusterLeader() {
			leaders++
		}
		info, err := m.Jsz(&server.JSzOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Meta.Size; got != replicas {
			t.Errorf("%s counts %d members, want %d", m.Name(), got, replicas)
		}
		if !info.Config.SyncAlways {
			t.Errorf("%s does not sync", m.Name())
		}
		varz, err := m.Varz()
		if err != nil {
			t.Fatal(err)
		}
		if got := varz.Host; got != "127.0.0.1" {
			t.Errorf("%s listens for clients on %s", m.Name(), got)
		}
		if varz.HTTPPort != 0 || varz.LeafNode.Port != 0 || varz.Gateway.Port != 0 || varz.Websocket.Port != 0 || varz.MQTT.Port != 0 {
			t.Errorf("%s has listeners that nobody needs", m.Name())
		}
	}
	if leaders != 1 {
		t.Errorf("got %d leaders, want 1", leaders)
	}
}

func TestAMemberThatRestartsRejoins(t *testing.T) {
	trio := start(t)
	waitReady(t, trio)
	nc, err := trio.SystemConn(1)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer nc.Close()
	name := trio.Member(1).Name()
	trio.Kill(1)
	if got := len(trio.Members()); got != 2 {
		t.Errorf("%d members run, want 2", got)
	}
	wait(t, func() string {
		if nc.IsConnected() {
			return "the connection to the dead member stands"
		}
		return ""
	})
	if err := trio.Restart(1); err != nil {
		t.Fatalf("restart: %v", err)
	}
	waitReady(t, trio)
	if got := trio.Member(1).Name(); got != name {
		t.Errorf("it came back as %s, want %s", got, name)
	}
	wait(t, func() string {
		if !nc.IsConnected() {
			return "the connection is not made again"
		}
		return ""
	})
	if err := trio.Restart(1); err == nil {
		t.Error("a running member was started again")
	}
	select {
	case err := <-trio.Failed():
		t.Errorf("stopping on purpose counts as a failure: %v", err)
	default:
	}
}

func TestAClusterComesBackOnItsData(t *testing.T) {
	dir, set := t.TempDir(), newKeys(t)
	first := startIn(t, dir, set)
	waitReady(t, first)
	first.Abort()
	waitReady(t, startIn(t, dir, set))
}

func TestDataOfAnotherClusterIsRefusedByAllMembers(t *testing.T) {
	dir := t.TempDir()
	startIn(t, dir, newKeys(t)).Abort()
	trio, err := StartThree(TrioOptions{Dir: dir, Keys: newKeys(t), MaxStore: 1 << 30})
	if err == nil {
		trio.Abort()
	}
	if !errors.Is(err, ErrForeignData) {
		t.Errorf("got error %v, want %v", err, ErrForeignData)
	}
}

func TestTwoClustersRunSideBySideAndStayApart(t *testing.T) {
	trios := make([]*Trio, 2)
	var wg sync.WaitGroup
	for i := range trios {
		dir, set := t.TempDir(), newKeys(t)
		wg.Go(func() {
			var err error
			if trios[i], err = StartThree(TrioOptions{Dir: dir, Keys: set, MaxStore: 1 << 30}); err != nil {
				t.Errorf("start cluster %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, trio := range trios {
		if trio == nil {
			t.FailNow()
		}
		defer trio.Abort()
	}
	for _, trio := range trios {
		waitReady(t, trio)
		for _, m := range trio.Members() {
			info, err := m.Jsz(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Meta.Size; got != replicas {
				t.Errorf("%s counts %d members, want %d", m.Name(), got, replicas)
			}
		}
	}
}

func TestAMemberWithOtherKeysIsNotAdmitted(t *testing.T) {
	trio := start(t)
	waitReady(t, trio)
	trio.Kill(2)
	o := trio.options(2)
	o.Keys, o.Dir = newKeys(t), t.TempDir()
	m, err := Start(o)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	defer m.Abort()
	// It dials its peers at once; they must have refused it before this is asked.
	wait(t, func() string {
		for _, peer := range trio.Members() {
			if peer.server.NumRoutes() == 0 {
				return peer.Name() + " has no route to its peer"
			}
		}
		return ""
	})
	if got := m.server.NumRoutes(); got != 0 {
		t.Errorf("a stranger has %d routes, want none", got)
	}
}

func TestStopHandsOverAndLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	trio := start(t)
	waitReady(t, trio)
	nc, err := trio.SystemConn(0)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	m := trio.Member(0)
	if err := trio.StopMember(ctx, 0); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := m.Stop(ctx); err != nil {
		t.Errorf("stop again: %v", err)
	}
	if err := m.Ready(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("ready when stopped: got error %v, want %v", err, ErrStopped)
	}
	if _, err := m.Jsz(nil); !errors.Is(err, ErrStopped) {
		t.Errorf("state when stopped: got error %v, want %v", err, ErrStopped)
	}
	if _, err := m.SystemConn(); err == nil {
		t.Error("a stopped member takes connections")
	}
	trio.Abort()
	goleak.VerifyNone(t, before)
}

func TestAStopCutShortStillStops(t *testing.T) {
	trio := start(t)
	waitReady(t, trio)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := trio.Member(0)
	if err := trio.StopMember(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if m.server.Running() {
		t.Error("the member still runs")
	}
}

func TestAMemberThatLosesItsStorageFails(t *testing.T) {
	trio := start(t)
	waitReady(t, trio)
	m := trio.Member(0)
	if err := m.server.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-m.Failed():
		if !errors.Is(err, ErrStorageLost) {
			t.Errorf("got failure %v, want %v", err, ErrStorageLost)
		}
	case <-t.Context().Done():
	}
	if err := <-trio.Failed(); !errors.Is(err, ErrStorageLost) {
		t.Errorf("the cluster reports %v, want %v", err, ErrStorageLost)
	}
	// Every question is answered with an error rather than a panic.
	if err := m.Ready(t.Context()); !errors.Is(err, ErrStorageLost) {
		t.Errorf("ready: got error %v, want %v", err, ErrStorageLost)
	}
	if _, err := m.Jsz(nil); !errors.Is(err, ErrStorageLost) {
		t.Errorf("state: got error %v, want %v", err, ErrStorageLost)
	}
	if m.IsClusterLeader() || m.LeadsStream("A", "s") || m.LeadsConsumer("A", "s", "c") {
		t.Error("it claims to lead")
	}
	if err := m.StepDown("A", "s"); !errors.Is(err, ErrStorageLost) {
		t.Errorf("step down: got error %v, want %v", err, ErrStorageLost)
	}
}

func TestTheClientListenerIsLoopbackAndRefusesStrangers(t *testing.T) {
	trio := start(t)
	u, err := url.Parse(trio.Member(0).server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Hostname(); got != "127.0.0.1" {
		t.Errorf("clients are served on %s", got)
	}
	if nc, err := trio.Conn(0); err == nil {
		nc.Close()
		t.Error("a connection without credentials was accepted")
	}
}
