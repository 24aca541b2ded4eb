package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dms/deploy/engine"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

func TestAProjectStoresAndReadsThroughEveryMember(t *testing.T) {
	c := Start(t)
	p := NewProject()
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3, AllowDirect: true,
	}); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	if _, err := js.Publish(t.Context(), "q.1.a", []byte("hello"), jetstream.WithRetryAttempts(100), jetstream.WithRetryWait(100*time.Millisecond)); err != nil {
		t.Fatalf("publish: %v", err)
	}
	for i := range 3 {
		via, err := jetstream.New(c.ConnVia(t, i, p.ID))
		if err != nil {
			t.Fatal(err)
		}
		Wait(t, func() string { // another member learns a moment later who answers for a new stream
			s, err := via.Stream(t.Context(), "q_1")
			if err != nil {
				return err.Error()
			}
			m, err := s.GetMsg(t.Context(), 1)
			if err != nil {
				return err.Error()
			}
			if got := string(m.Data); got != "hello" {
				t.Fatalf("member %d: got %q, want %q", i, got, "hello")
			}
			return ""
		})
	}
}

func TestAStreamFindsANewLeader(t *testing.T) {
	c := Start(t)
	p := NewProject()
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3}); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	if _, err := js.CreateConsumer(t.Context(), "q_1", jetstream.ConsumerConfig{Durable: "g_1", Replicas: 3}); err != nil {
		t.Fatalf("create consumer: %v", err)
	}
	c.WaitConsumerLeader(t, p.ID, "q_1", "g_1")
	c.WaitReady(t)
	first := c.WaitStreamLeader(t, p.ID, "q_1")
	c.StepDown(t, p.ID, "q_1")
	Wait(t, func() string {
		if c.WaitStreamLeader(t, p.ID, "q_1") == first {
			return "the stream has its old leader"
		}
		return ""
	})
	second := c.WaitStreamLeader(t, p.ID, "q_1")
	c.Kill(second)
	if third := c.WaitStreamLeader(t, p.ID, "q_1"); third == second {
		t.Errorf("member %d leads though it is down", third)
	}
	c.Restart(t, second)
	if leader := c.WaitClusterLeader(t); c.Trio().Member(leader) == nil {
		t.Errorf("member %d leads the cluster though it is down", leader)
	}
}

// Right after a member has handed over, everything that it led has another leader: the
// others need not elect one when it stops.
func TestAMemberHandsOverAllThatItLeads(t *testing.T) {
	c := Start(t)
	p := NewProject()
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.Accounts().ID(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	const streams = 12
	name := func(i int) string { return fmt.Sprintf("q_%d", i) }
	for i := range streams {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name(i), Subjects: []string{fmt.Sprintf("q.%d.>", i)}, Replicas: 3}); err != nil {
			t.Fatalf("create stream: %v", err)
		}
		if _, err := js.CreateConsumer(t.Context(), name(i), jetstream.ConsumerConfig{Durable: "g_1", Replicas: 3}); err != nil {
			t.Fatalf("create consumer: %v", err)
		}
		c.WaitConsumerLeader(t, p.ID, name(i), "g_1")
	}
	c.WaitReady(t)
	m := c.Trio().Member(c.WaitStreamLeader(t, p.ID, name(0)))
	if err := m.HandOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Nothing is left with the member, and everything has been promised to another one.
	for i := range streams {
		if m.LeadsStream(account, name(i)) || m.LeadsConsumer(account, name(i), "g_1") {
			t.Errorf("the member still leads stream %d or its reader", i)
		}
	}
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true})
	if err != nil {
		t.Fatal(err)
	}
	others := 0
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			for _, in := range append([]*server.ClusterInfo{s.Cluster}, consumersOf(s)...) {
				if in.Leader == "" || in.Leader == m.Name() {
					t.Errorf("of %s the member says that %q leads", s.Name, in.Leader)
				}
				others++
			}
		}
	}
	if others < 2*streams {
		t.Errorf("the member tells of %d leaders, want at least %d", others, 2*streams)
	}
	for i := range streams {
		Wait(t, func() string { // they are elected, and are about to begin
			led, read := 0, 0
			for _, other := range c.Members() {
				if other.LeadsStream(account, name(i)) && other != m {
					led++
				}
				if other.LeadsConsumer(account, name(i), "g_1") && other != m {
					read++
				}
			}
			if led != 1 || read != 1 {
				return fmt.Sprintf("of stream %d %d others lead the log and %d its reader, want one each", i, led, read)
			}
			return ""
		})
	}
}

func consumersOf(s server.StreamDetail) (all []*server.ClusterInfo) {
	for _, c := range s.Consumer {
		all = append(all, c.Cluster)
	}
	return all
}

// A member whose snapshots are cut short, those of the cluster's own log among them, is
// ready again and has everything.
func TestAMemberWithDamagedSnapshotsComesBack(t *testing.T) {
	c := Start(t)
	p := NewProject()
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3}); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	const messages = 50
	store := func() {
		t.Helper()
		for range messages {
			if _, err := js.Publish(t.Context(), "q.1.m", []byte("x")); err != nil {
				t.Fatalf("publish: %v", err)
			}
		}
	}
	store()
	c.WaitReady(t)
	const victim = 2
	if err := c.Trio().StopMember(t.Context(), victim); err != nil { // it writes snapshots
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(c.dir, engine.TrioName(victim), "store", "jetstream", "*", "_js_", "*", "snapshots", "snap.*"))
	if err != nil {
		t.Fatal(err)
	}
	cut := make(map[string]bool)
	for _, path := range all {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		cut[filepath.Base(filepath.Dir(filepath.Dir(path)))] = true
		if err := os.Truncate(path, []int64{0, info.Size() / 2, info.Size() - 1}[len(cut)%3]); err != nil {
			t.Fatal(err)
		}
	}
	if len(cut) < 2 || !cut["_meta_"] {
		t.Fatalf("the snapshots of %v are damaged, want those of the stream and the cluster among them", cut)
	}
	c.Restart(t, victim)
	c.WaitReady(t)
	c.Kill(1) // nothing is stored now but on the member that was damaged, too
	c.WaitStreamLeader(t, p.ID, "q_1")
	store()
	stream, err := js.Stream(t.Context(), "q_1")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2*messages {
		t.Errorf("%d messages are there, want %d", n, 2*messages)
	}
}

// A member whose file of a consumer is cut short is ready again, and knows from the log
// what was acknowledged.
func TestAMemberWithDamagedConsumersComesBack(t *testing.T) {
	c := Start(t)
	p := NewProject()
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3}); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	reader, err := js.CreateConsumer(t.Context(), "q_1", jetstream.ConsumerConfig{Durable: "g_1", Replicas: 3, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	const messages, settled = 50, 20
	for range messages {
		if _, err := js.Publish(t.Context(), "q.1.m", []byte("x")); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	got, err := reader.Fetch(settled + 10)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m := range got.Messages() {
		if n++; n > settled {
			continue
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.WaitReady(t)
	const victim = 2
	for _, left := range []int64{1, 5} {
		if err := c.Trio().StopMember(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		all, err := filepath.Glob(filepath.Join(c.dir, engine.TrioName(victim), "store", "jetstream", "*", "streams", "*", "obs", "*", "o.dat"))
		if err != nil || len(all) != 1 {
			t.Fatalf("there are the files %q, %v, want one", all, err)
		}
		if err := os.Truncate(all[0], left); err != nil {
			t.Fatal(err)
		}
		c.Restart(t, victim)
		c.WaitReady(t)
	}
	account, err := c.Accounts().ID(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	Wait(t, func() string { // the victim leads
		for i, m := range c.Members() {
			if i != victim && m.LeadsConsumer(account, "q_1", "g_1") {
				if err := m.StepDownConsumer(account, "q_1", "g_1"); err != nil {
					return err.Error()
				}
			}
		}
		if !c.Members()[victim].LeadsConsumer(account, "q_1", "g_1") {
			return "another one leads"
		}
		return ""
	})
	Wait(t, func() string {
		info, err := reader.Info(t.Context())
		if err != nil {
			return err.Error()
		}
		if info.AckFloor.Stream != settled || info.NumAckPending != 10 || info.Delivered.Stream != settled+10 {
			return fmt.Sprintf("settled up to %d, delivered up to %d, %d are pending", info.AckFloor.Stream, info.Delivered.Stream, info.NumAckPending)
		}
		return ""
	})
}
