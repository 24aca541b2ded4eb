package records

import (
	"errors"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go/jetstream"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// open opens the bucket of an account as the node beside a member does.
func open(t *testing.T, account tenancy.ProjectID, member int) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), cluster.ConnVia(t, member, account), Config{Name: "things", Lives: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, b *Bucket, key, value string, at uint64) Item {
	t.Helper()
	data := []byte(value)
	if value == "" {
		data = nil
	}
	i, err := b.Write(t.Context(), key, data, at, 0)
	if err != nil {
		t.Fatalf("write %s at %d: %v", key, at, err)
	}
	return i
}

func read(t *testing.T, b *Bucket, key string) Item {
	t.Helper()
	i, err := b.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// untimed compares items but for the time of writing, which the writer only guesses.
func untimed(want, got any) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(Item{}, "Written"))
}

func TestARecordIsChangedByWhoKnowsIt(t *testing.T) {
	account := enginetest.NewProject().ID
	one, two := open(t, account, 0), open(t, account, 1)
	if d := untimed(Item{Key: "a"}, read(t, one, "a")); d != "" {
		t.Errorf("a record that was never there (-want +got):\n%s", d)
	}
	first := write(t, one, "a", "1", 0)
	if d := untimed(Item{Key: "a", Data: []byte("1"), Revision: first.Revision}, read(t, two, "a")); d != "" {
		t.Errorf("through another node (-want +got):\n%s", d)
	}
	if _, err := two.Write(t.Context(), "a", []byte("2"), 0, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("made again: %v", err)
	}
	second := write(t, two, "a", "2", first.Revision)
	if _, err := one.Write(t.Context(), "a", []byte("3"), first.Revision, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("changed from what it was before: %v", err)
	}
	gone := write(t, one, "a", "", second.Revision)
	if d := untimed(Item{Key: "a", Revision: gone.Revision}, read(t, two, "a")); d != "" {
		t.Errorf("deleted (-want +got):\n%s", d)
	}
	if i, err := two.Put(t.Context(), "a", []byte("4"), 0); err != nil || i.Revision <= gone.Revision {
		t.Errorf("put: %+v, %v", i, err)
	}
}

func TestChangesAreFollowedFromARevision(t *testing.T) {
	b := open(t, enginetest.NewProject().ID, 0)
	write(t, b, "a", "1", 0)
	kept := write(t, b, "b", "2", 0)
	again := write(t, b, "a", "3", 1)
	gone := write(t, b, "c", "", 0)
	var got []Item
	for from := uint64(1); ; {
		i, ok, err := b.Next(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, i)
		from = i.Revision + 1
	}
	if d := untimed([]Item{kept, again, gone}, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
}

func TestARecordWithALifeEnds(t *testing.T) {
	b := open(t, enginetest.NewProject().ID, 0)
	if _, err := b.Write(t.Context(), "a", []byte("1"), 0, time.Second); err != nil {
		t.Fatal(err)
	}
	enginetest.Wait(t, func() string { return untimed(Item{Key: "a"}, read(t, b, "a")) })
}

// TestAWriteSurvivesTheLossOfItsLeader changes one record while its bucket's leader steps
// down again and again: each change is made once, whatever became of the answers.
func TestAWriteSurvivesTheLossOfItsLeader(t *testing.T) {
	account := enginetest.NewProject().ID
	b := open(t, account, 0)
	stepDown := "$JS.API.STREAM.LEADER.STEPDOWN.KV_things"
	var at uint64
	for n := range 5 {
		if _, err := b.js.Conn().Request(stepDown, nil, 5*time.Second); err != nil {
			t.Fatalf("step down: %v", err)
		}
		i := write(t, b, "a", string(rune('a'+n)), at)
		if i.Revision != at+1 {
			t.Errorf("change %d has revision %d after %d", n, i.Revision, at)
		}
		at = i.Revision
	}
}

func TestABucketThatFollowersAnswerIsRefused(t *testing.T) {
	conn := cluster.ConnVia(t, 0, enginetest.NewProject().ID)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "things", Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), conn, Config{Name: "things"}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("opened: %v", err)
	}
}
