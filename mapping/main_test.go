package mapping

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/nats-io/nats.go"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) {
	if err := widen(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginetest.Main(m, &cluster)
}

// widen lets more tests run at once than there are cores, unless the command line says
// how many: they mostly wait.
func widen() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// tenants connects through one member of the cluster under test.
type tenants struct {
	member  int
	project tenancy.Project
}

func (t tenants) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return cluster.AccountsVia(t.member).Connect(ctx, id)
}

func (t tenants) Project(context.Context, tenancy.ProjectID) (tenancy.Project, error) {
	return t.project, nil
}

// testLog writes to the test's own output.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newProject provisions a fresh project.
func newProject(t testing.TB) tenancy.Project {
	t.Helper()
	p := enginetest.NewProject()
	if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatalf("provision: %v", err)
	}
	return p
}

// newBroker serves the project through the given member.
func newBroker(t testing.TB, p tenancy.Project, member, nodes int) *Broker {
	t.Helper()
	b, err := New(Options{
		Tenants:     tenants{member: member, project: p},
		SealingKeys: []seal.Key{{ID: 1, Secret: [32]byte{1, 2, 3}}},
		Nodes:       nodes,
		Log:         testLog(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// fixture is a project with one queue and one group on one node.
type fixture struct {
	b     *Broker
	p     tenancy.Project
	queue dms.QueueRef
	group dms.GroupRef
}

// opened returns the session that serves the fixture's project, and what it knows of the
// queue. The session is in use until the test ends.
func (f *fixture) opened(t testing.TB) (*session, *queue) {
	t.Helper()
	s, release, err := f.b.session(t.Context(), f.p.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	q, err := s.queue(t.Context(), f.queue.Queue)
	if err != nil {
		t.Fatal(err)
	}
	return s, q
}

func newFixture(t testing.TB, q dms.NewQueue) fixture {
	t.Helper()
	p := newProject(t)
	f := fixture{b: newBroker(t, p, 0, 1), p: p}
	f.queue, f.group = newQueue(t, f.b, p, q)
	return f
}

func newQueue(t testing.TB, b *Broker, p tenancy.Project, q dms.NewQueue) (dms.QueueRef, dms.GroupRef) {
	t.Helper()
	if q.Name == "" {
		q.Name = "orders"
	}
	if q.Mode == "" {
		q.Mode = dms.Normal
	}
	made, err := b.CreateQueue(t.Context(), p.ID, q)
	if err != nil {
		t.Fatalf("create queue: %v", err)
	}
	groups, err := b.CreateGroups(t.Context(), made.Ref, []string{"readers"})
	if err != nil {
		t.Fatalf("create group: %v", err)
	}
	return made.Ref, groups[0].Ref
}

func payload(body string) []byte { return []byte(`{"body":"` + body + `"}`) }

// send stores messages with the bodies and fails the test when one is refused.
func send(t testing.TB, b *Broker, ref dms.QueueRef, bodies ...string) {
	t.Helper()
	for len(bodies) > 0 {
		n := min(len(bodies), dms.MaxBatch)
		var req dms.Send
		for _, body := range bodies[:n] {
			req.Messages = append(req.Messages, dms.Message{Payload: payload(body)})
		}
		sent, err := b.Send(t.Context(), ref, req)
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		for i, s := range sent {
			if s.Err != nil {
				t.Fatalf("send message %d: %v", i, s.Err)
			}
		}
		bodies = bodies[n:]
	}
}

// live is a receive request with short waits.
func live(most int, wait time.Duration) dms.Receive {
	return dms.Receive{Kind: dms.Live, Max: most, Wait: wait, AckWait: dms.DefaultAckWait}
}

func dead(most int, wait time.Duration) dms.Receive {
	r := live(most, wait)
	r.Kind = dms.Dead
	return r
}

func receive(t testing.TB, b *Broker, ref dms.GroupRef, req dms.Receive) []dms.Delivery {
	t.Helper()
	batch, err := b.Receive(t.Context(), ref, req)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return batch.Deliveries
}

// receiveExactly consumes until it has n messages.
func receiveExactly(t testing.TB, b *Broker, ref dms.GroupRef, n int) []dms.Delivery {
	t.Helper()
	var got []dms.Delivery
	for len(got) < n {
		batch := receive(t, b, ref, live(min(n-len(got), dms.MaxBatch), 10*time.Second))
		if len(batch) == 0 {
			t.Fatalf("received %d messages, want %d", len(got), n)
		}
		got = append(got, batch...)
	}
	return got
}

func bodies(ds []dms.Delivery) []string {
	var got []string
	for _, d := range ds {
		s := string(d.Payload)
		got = append(got, s[len(`{"body":"`):len(s)-2])
	}
	return got
}

func acks(ds []dms.Delivery, success ...bool) []dms.Ack {
	var as []dms.Ack
	for i, d := range ds {
		as = append(as, dms.Ack{Handle: d.Handle, Success: i >= len(success) || success[i]})
	}
	return as
}

func acknowledge(t testing.TB, b *Broker, ref dms.GroupRef, kind dms.Kind, as []dms.Ack, want int) {
	t.Helper()
	n, err := b.Acknowledge(t.Context(), ref, kind, as)
	if err != nil {
		t.Fatalf("acknowledge: %v", err)
	}
	if n != want {
		t.Fatalf("acknowledge settled %d, want %d", n, want)
	}
}

func counters(t testing.TB, b *Broker, ref dms.GroupRef) dms.Counters {
	t.Helper()
	_, groups, err := b.Groups(t.Context(), ref.QueueRef, dms.GroupView{Counters: true, DeadLetters: true})
	if err != nil {
		t.Fatalf("groups: %v", err)
	}
	for _, g := range groups {
		if g.Ref == ref {
			return g.Counters
		}
	}
	t.Fatalf("group %s is not listed", ref.Group)
	return dms.Counters{}
}

func wantCode(t testing.TB, err error, want dms.Code) {
	t.Helper()
	if !has(err, want) {
		t.Errorf("error is %v, want code %s", err, want)
	}
}
