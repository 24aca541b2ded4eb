package mapping

import (
	"context"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// viaCluster connects to a cluster of the test's own.
type viaCluster struct {
	*enginetest.Cluster
	project tenancy.Project
}

func (v viaCluster) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return v.Accounts().Connect(ctx, id)
}

func (v viaCluster) Project(context.Context, tenancy.ProjectID) (tenancy.Project, error) {
	return v.project, nil
}

// TestWhatMustOutliveTheRetentionDoes lets a queue's messages expire while a delayed
// message waits and a FIFO cursor is idle, and restarts the members one by one: a
// restarted member deletes by age whatever lies in a stream that has one.
func TestWhatMustOutliveTheRetentionDoes(t *testing.T) {
	t.Parallel()
	const retention = 2 * time.Second
	c := enginetest.Start(t)
	p := enginetest.NewProject()
	if err := c.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Tenants: viaCluster{c, p}, SealingKeys: []seal.Key{{ID: 1, Secret: [32]byte{1}}}, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	queue, group := newQueue(t, b, p, dms.NewQueue{Mode: dms.FIFO})
	js, err := jetstream.New(c.Conn(t, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	shorten(t, js, streamName(queue.Queue), retention)

	send(t, b, queue, "old 1", "old 2", "old 3")
	ds := receiveExactly(t, b, group, 2)
	acknowledge(t, b, group, dms.Live, acks(ds), 2)
	sent, err := b.Send(t.Context(), queue, dms.Send{Messages: []dms.Message{{Payload: payload("delayed"), Delay: 30 * time.Second}}})
	if err != nil || sent[0].Err != nil {
		t.Fatalf("send: %v %v", err, sent)
	}
	enginetest.Wait(t, func() string {
		if q, err := b.Queue(t.Context(), queue); err != nil || q.Messages != 0 {
			return "the messages have not expired yet"
		}
		return ""
	})
	for i := range 3 {
		c.Kill(i)
		c.Restart(t, i)
	}
	value, rev, err := ctlOf(t, b, p).get(t.Context(), cursorKey(group, dms.Live))
	if err != nil || rev == 0 {
		t.Fatalf("the cursor is gone: %q, revision %d, %v", value, rev, err)
	}
	if d := cmp.Diff(dms.Counters{}, counters(t, b, group)); d != "" {
		t.Errorf("counters of an expired queue (-want +got):\n%s", d)
	}
	send(t, b, queue, "new")
	got := receiveExactly(t, b, group, 1)
	acknowledge(t, b, group, dms.Live, acks(got), 1)
	if d := cmp.Diff([]string{"new"}, bodies(got)); d != "" {
		t.Errorf("after the restarts (-want +got):\n%s", d)
	}
	late := live(1, 60*time.Second)
	if d := cmp.Diff([]string{"delayed"}, bodies(receive(t, b, group, late))); d != "" {
		t.Errorf("the delayed message (-want +got):\n%s", d)
	}
}

func shorten(t *testing.T, js jetstream.JetStream, stream string, age time.Duration) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.MaxAge, config.Duplicates = age, age
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func ctlOf(t *testing.T, b *Broker, p tenancy.Project) *ctl {
	t.Helper()
	s, release, err := b.session(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return s.ctl
}
