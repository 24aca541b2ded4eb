package accounts_test

import (
	"errors"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestADurableConsumerDeliversAndTakesAcknowledgements(t *testing.T) {
	_, js := filled(t, cluster, "hello")
	c, err := js.CreateConsumer(t.Context(), "q_1", jetstream.ConsumerConfig{
		Durable: "g_1", Replicas: 3, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 20_000,
	})
	if err != nil {
		t.Fatalf("create consumer: %v", err)
	}
	m := received(t, func() (jetstream.Msg, error) { return c.Next(jetstream.FetchMaxWait(5 * time.Second)) })
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatalf("acknowledge: %v", err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := info.AckFloor.Stream; got != 1 {
		t.Errorf("acknowledged up to %d, want 1", got)
	}
	if got := len(info.Cluster.Replicas) + 1; got != 3 {
		t.Errorf("the consumer has %d replicas, want 3", got)
	}
}

func TestAPassingOrderedReaderIsAdmitted(t *testing.T) {
	_, js := filled(t, cluster, "hello")
	c, err := js.OrderedConsumer(t.Context(), "q_1", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatalf("make ordered consumer: %v", err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if got := string(m.Data()); got != "hello" {
		t.Errorf("got %q, want %q", got, "hello")
	}
}

func TestABucketStoresWatchesAndReadsByDirectGet(t *testing.T) {
	p := enginetest.NewProject()
	js := stream(t, cluster.Conn(t, p.ID))
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "ctl", Replicas: 3})
	if err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	w, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(func() {
		// The watch makes its subscription anew when its consumer's leader changes, and
		// has none in between.
		if err := w.Stop(); err != nil && !errors.Is(err, nats.ErrBadSubscription) {
			t.Errorf("stop watching: %v", err)
		}
	})
	if first := <-w.Updates(); first != nil {
		t.Fatalf("got %q in an empty bucket", first.Key())
	}
	revision, err := kv.Create(t.Context(), "a", []byte("1"))
	if err != nil {
		t.Fatalf("create key: %v", err)
	}
	if _, err := kv.Update(t.Context(), "a", []byte("2"), revision+7); err == nil {
		t.Error("an update against a wrong revision was accepted")
	}
	select {
	case e := <-w.Updates():
		if got := string(e.Value()); got != "1" {
			t.Errorf("the watch shows %q, want %q", got, "1")
		}
	case <-time.After(10 * time.Second):
		t.Error("the watch shows nothing after 10 s")
	}
	enginetest.Wait(t, func() string { // direct get may come from a replica that is behind
		e, err := kv.Get(t.Context(), "a")
		if err != nil {
			return err.Error()
		}
		if got := string(e.Value()); got != "1" {
			return "got " + got
		}
		return ""
	})
}

func TestARepublishedMessageWakesASubscriber(t *testing.T) {
	p := enginetest.NewProject()
	nc := cluster.Conn(t, p.ID)
	sub, err := nc.SubscribeSync("wake.>")
	if err != nil {
		t.Fatal(err)
	}
	js := stream(t, nc)
	cfg := queue()
	cfg.RePublish = &jetstream.RePublish{Source: "q.1.>", Destination: "wake.1.>", HeadersOnly: true}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	if _, err := js.Publish(t.Context(), "q.1.a", []byte("hello"), patient()...); err != nil {
		t.Fatalf("publish: %v", err)
	}
	if _, err := sub.NextMsg(10 * time.Second); err != nil {
		t.Fatalf("wait for the wake-up: %v", err)
	}
}

func TestAStreamWithOneReplicaIsRefused(t *testing.T) {
	p := enginetest.NewProject()
	js := stream(t, cluster.Conn(t, p.ID))
	for _, storage := range []jetstream.StorageType{jetstream.FileStorage, jetstream.MemoryStorage} {
		for _, maxBytes := range []int64{0, 1, 1 << 20} {
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
				Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 1, Storage: storage, MaxBytes: maxBytes,
			})
			var api *jetstream.APIError
			if !errors.As(err, &api) {
				t.Errorf("%v stream of %d bytes: got error %v, want a refusal", storage, maxBytes, err)
			}
		}
	}
}

func TestAFullAccountRefusesWithoutDiscarding(t *testing.T) {
	p := enginetest.NewProject()
	p.Limits.StoredBytes = 1 << 20 // and the least reserve of 64 MiB
	a := cluster.Accounts()
	if err := a.Provision(t.Context(), p); err != nil {
		t.Fatalf("provision: %v", err)
	}
	nc, err := a.Connect(t.Context(), p.ID)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(nc.Close)
	js := stream(t, nc)
	s, err := js.CreateStream(t.Context(), queue())
	if err != nil {
		t.Fatalf("create stream: %v", err)
	}
	body := make([]byte, 1<<20)
	accepted := uint64(0)
	var api *jetstream.APIError
	enginetest.Wait(t, func() string { // usage is counted with a delay, so the edge is soft
		_, err := js.Publish(t.Context(), "q.1.a", body, patient()...)
		switch {
		case err == nil:
			accepted++
			return "accepted"
		case errors.As(err, &api):
			return ""
		}
		return err.Error()
	})
	if api.ErrorCode != 10002 {
		t.Errorf("refused with %d, want 10002: %v", api.ErrorCode, api)
	}
	if accepted < 64 {
		t.Errorf("%d MiB were accepted, want at least 64", accepted)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != accepted || info.State.FirstSeq != 1 {
		t.Errorf("%d messages from %d are left, want %d from 1", info.State.Msgs, info.State.FirstSeq, accepted)
	}
	// A larger quota takes effect at once.
	p.Limits.StoredBytes = 128 << 20
	if err := a.Provision(t.Context(), p); err != nil {
		t.Fatalf("provision again: %v", err)
	}
	if _, err := js.Publish(t.Context(), "q.1.a", body, patient()...); err != nil {
		t.Errorf("publish after the quota was raised: %v", err)
	}
}
