package accounts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cluster serves the tests that leave all members alone; each uses projects of its own.
var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

func stream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func queue() jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: "q_1", Subjects: []string{"q.1.>"}, Replicas: 3, AllowDirect: true}
}

// filled returns a new project with one stored message in stream q_1.
func filled(t testing.TB, c *enginetest.Cluster, body string) (tenancy.Project, jetstream.JetStream) {
	t.Helper()
	p := enginetest.NewProject()
	js := stream(t, c.Conn(t, p.ID))
	if _, err := js.CreateStream(t.Context(), queue()); err != nil {
		t.Fatalf("create stream: %v", err)
	}
	if _, err := js.Publish(t.Context(), "q.1.a", []byte(body), patient()...); err != nil {
		t.Fatalf("publish: %v", err)
	}
	return p, js
}

// received is what receive returns once the consumer can be reached: a member hears with
// a moment's delay where the leader of a consumer just made is.
func received[M any](t *testing.T, receive func() (M, error)) (m M) {
	t.Helper()
	enginetest.Wait(t, func() string {
		var err error
		if m, err = receive(); errors.Is(err, nats.ErrNoResponders) {
			return err.Error()
		}
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		return ""
	})
	return m
}

// stored returns the bodies in stream q_1, as some replica has them.
func stored(ctx context.Context, js jetstream.JetStream) ([]string, error) {
	s, err := js.Stream(ctx, "q_1")
	if err != nil {
		return nil, err
	}
	var out []string
	state := s.CachedInfo().State
	for seq := state.FirstSeq; state.Msgs > 0 && seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		out = append(out, string(m.Data))
	}
	return out, nil
}

// holdsHello waits until stream q_1 is seen to hold just the message of filled.
func holdsHello(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	enginetest.Wait(t, func() string {
		got, err := stored(t.Context(), js)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff([]string{"hello"}, got)
	})
}

// patient repeats a publish while the stream that was just made has no leader that this
// connection's member knows of. Nothing was stored by then.
func patient() []jetstream.PublishOpt {
	return []jetstream.PublishOpt{jetstream.WithRetryAttempts(100), jetstream.WithRetryWait(100 * time.Millisecond)}
}
