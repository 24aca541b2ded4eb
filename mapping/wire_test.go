package mapping

import (
	"context"
	"testing"
	"time"

	"dms/tenancy"
	"dms/tenancy/accounts"

	"github.com/nats-io/nats.go"
)

func TestALookIsRepeatedUntilSomebodyAnswers(t *testing.T) {
	t.Parallel()
	// The only account in which tests may answer questions themselves.
	p := tenancy.Project{ID: accounts.Control, Limits: tenancy.Limits{Queues: 16, GroupsPerQueue: 1, StoredBytes: 64 << 20}}
	if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	conn, err := cluster.Accounts().Connect(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w, err := wireAt(conn, "node.replies.") // nobody else may answer in the account's inboxes
	if err != nil {
		t.Fatal(err)
	}
	var replies []string
	asked := make(chan string, 100)
	if _, err := conn.Subscribe("node.look", func(m *nats.Msg) {
		replies = append(replies, m.Reply)
		if len(replies) == 3 { // nobody leads before; the question before is answered late
			if err := conn.Publish(replies[1], []byte("answer")); err != nil {
				t.Error(err)
			}
		}
		asked <- string(m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	patient, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	m, err := w.look(patient, "node.look", []byte("question"))
	if err != nil || string(m.Data) != "answer" {
		t.Fatalf("the answer is %v, %v", m, err)
	}
	for range 3 {
		if got := <-asked; got != "question" {
			t.Errorf("it was asked for %q", got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.look(ctx, "node.look", nil); err == nil {
		t.Error("a look without an answer does not end with its context")
	}
	if _, err := w.look(patient, "node.nobody", nil); err != nats.ErrNoResponders {
		t.Errorf("where nobody listens a look ends with %v", err)
	}
}
