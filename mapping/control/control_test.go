package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/mapping/control"
	"dms/tenancy"
	"dms/tenancy/accounts"

	"github.com/nats-io/nats.go/jetstream"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// open opens the store through a member.
func open(t *testing.T, member int) *control.Store {
	t.Helper()
	p := tenancy.Project{ID: accounts.Control, Limits: tenancy.Limits{Queues: 16, GroupsPerQueue: 1, StoredBytes: 64 << 20}}
	if err := cluster.AccountsVia(member).Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	conn, err := cluster.AccountsVia(member).Connect(t.Context(), accounts.Control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := control.Open(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordsAreChangedByCompareAndSet(t *testing.T) {
	a, b := open(t, 0), open(t, 1)
	ctx := t.Context()
	if r, err := a.Get(ctx, "cas.one"); err != nil || r.Revision != 0 {
		t.Fatalf("an absent record is %+v, %v", r, err)
	}
	rev, err := a.Put(ctx, "cas.one", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, "cas.one", []byte("2"), 0); !errors.Is(err, control.ErrConflict) {
		t.Errorf("a second creation ends with %v", err)
	}
	r, err := b.Get(ctx, "cas.one")
	if err != nil || string(r.Value) != "1" || r.Revision != rev {
		t.Fatalf("the other node reads %+v, %v", r, err)
	}
	if _, err := b.Put(ctx, "cas.one", []byte("2"), rev); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Put(ctx, "cas.one", []byte("3"), rev); !errors.Is(err, control.ErrConflict) {
		t.Errorf("a change of an old revision ends with %v", err)
	}
	// Of many who change the same revision one has its way.
	r, err = a.Get(ctx, "cas.one")
	if err != nil {
		t.Fatal(err)
	}
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 8 {
		s := []*control.Store{a, b}[i%2]
		wg.Go(func() {
			_, err := s.Put(ctx, "cas.one", fmt.Appendf(nil, "by %d", i), r.Revision)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if errors.Is(err, control.ErrConflict) {
				lost++
			} else {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 7 {
		t.Errorf("%d won and %d lost, want 1 and 7", won, lost)
	}
	if err := a.Delete(ctx, "cas.one"); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Get(ctx, "cas.one"); err != nil || r.Revision != 0 {
		t.Errorf("a deleted record is %+v, %v", r, err)
	}
	if _, err := b.Put(ctx, "cas.one", []byte("new"), 0); err != nil {
		t.Errorf("a deleted record cannot be made again: %v", err)
	}
}

func TestRecordsAreListedFromARevisionOn(t *testing.T) {
	s := open(t, 2)
	var middle uint64
	for i := range 4 {
		rev, err := s.Put(t.Context(), fmt.Sprintf("list.%d", i), []byte{byte(i)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			middle = rev
		}
	}
	keys := func(pattern string, from uint64) string {
		all, err := s.List(t.Context(), pattern, from)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range all {
			got = append(got, r.Key)
		}
		return strings.Join(got, " ")
	}
	for _, c := range []struct {
		pattern string
		from    uint64
		want    string
	}{{"list.*", 0, "list.0 list.1 list.2 list.3"}, {"list.>", middle, "list.2 list.3"}, {"list.1", 0, "list.1"}, {"other.>", 0, ""}} {
		if got := keys(c.pattern, c.from); got != c.want {
			t.Errorf("%s from %d lists %q, want %q", c.pattern, c.from, got, c.want)
		}
	}
}

func TestLogsKeepOrderAndForget(t *testing.T) {
	s := open(t, 0)
	ctx := t.Context()
	l, err := s.Log(ctx, control.LogOptions{Name: "test", MaxAge: time.Hour, Bytes: 8 << 20, PerKey: 1200})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := open(t, 1).Log(ctx, control.LogOptions{Name: "test", MaxAge: 2 * time.Hour, Bytes: 4 << 20, PerKey: 1200}); err != nil || again == nil {
		t.Fatalf("a log cannot be opened with other limits: %v", err)
	}
	const entries = 1100 // more than one answer to a read holds
	for i := range entries {
		if err := l.Append(ctx, "a.b", fmt.Sprint(i), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Append(ctx, "other", "same", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	read := func(key string, from time.Time) (got []string, first time.Time) {
		t.Helper()
		if err := l.Read(ctx, key, from, func(e control.Entry) error {
			if len(got) == 0 {
				first = e.At
			}
			got = append(got, string(e.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got, first
	}
	deadline := time.Now().Add(30 * time.Second)
	var got []string
	for len(got) != entries && time.Now().Before(deadline) { // a follower may be behind
		got, _ = read("a.b", time.Time{})
	}
	if len(got) != entries || got[0] != "0" || got[entries-1] != fmt.Sprint(entries-1) {
		t.Fatalf("%d entries come back, want %d in order", len(got), entries)
	}
	if got, _ := read("other", time.Time{}); len(got) != 1 {
		t.Errorf("an entry that was appended twice is there %d times", len(got))
	}
	if got, _ := read("a.b", time.Now().Add(time.Minute)); len(got) != 0 {
		t.Errorf("%d entries are from the future", len(got))
	}
	e, ok, err := l.Last(ctx, "a.b")
	if err != nil || !ok || string(e.Value) != fmt.Sprint(entries-1) {
		t.Fatalf("the last entry is %q, %v, %v", e.Value, ok, err)
	}
	if got, first := read("a.b", e.At); len(got) != 1 || !first.Equal(e.At) {
		t.Errorf("from the last entry on there are %d, the first from %v, want %v", len(got), first, e.At)
	}
	failed := errors.New("enough")
	if err := l.Read(ctx, "a.b", time.Time{}, func(control.Entry) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a reader that gives up gets %v", err)
	}
	if err := l.Forget(ctx, "a.b"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.Last(ctx, "a.b"); ok || err != nil {
		t.Errorf("after forgetting there is still one: %v, %v", ok, err)
	}
}

// Logs of earlier versions were compressed.
func TestACompressedLogBecomesPlainAndStaysReadable(t *testing.T) {
	s := open(t, 0)
	conn, err := cluster.Accounts().Connect(t.Context(), accounts.Control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	old, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "log_old", Subjects: []string{"log.old.>"}, Storage: jetstream.FileStorage, Replicas: 3, MaxAge: time.Hour, MaxBytes: 8 << 20,
		MaxMsgsPerSubject: -1, MaxMsgSize: 1 << 20, Discard: jetstream.DiscardOld, AllowDirect: true, Compression: jetstream.S2Compression,
		Duplicates: 2 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		l, err := s.Log(t.Context(), control.LogOptions{Name: "old", MaxAge: time.Hour, Bytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), "a", fmt.Sprint(i), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
		if e, ok, err := l.Last(t.Context(), "a"); err != nil || !ok || string(e.Value) != fmt.Sprint(i) {
			t.Errorf("the last entry is %q, %t, %v", e.Value, ok, err)
		}
	}
	info, err := old.Info(t.Context())
	if err != nil || info.Config.Compression != jetstream.NoCompression || info.State.Msgs != 2 {
		t.Errorf("the log is %+v, %v, want 2 entries and no compression", info, err)
	}
}

func TestAllNodesAreAskedAndAnswerInPieces(t *testing.T) {
	stores := []*control.Store{open(t, 0), open(t, 1), open(t, 2)}
	for i, s := range stores {
		stop, err := s.Serve("test", fmt.Sprintf("n%d", i), func(context.Context) ([][]byte, error) {
			if i == 2 {
				return nil, errors.New("out of order")
			}
			return [][]byte{{byte(i)}, []byte(strings.Repeat("x", 400<<10)), []byte("end")}, nil
		}, func(err error) {
			if !strings.Contains(err.Error(), "out of order") {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	// Subscriptions reach the other members a moment after they are made.
	deadline := time.Now().Add(30 * time.Second)
	for {
		all, err := stores[1].Ask(t.Context(), "test", 2, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 2 {
			for _, a := range all {
				if len(a.Parts) != 3 || string(a.Parts[2]) != "end" || len(a.Parts[1]) != 400<<10 {
					t.Errorf("%s answers in %d parts", a.Node, len(a.Parts))
				}
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d nodes answer, want 2", len(all))
		}
	}
	// One that fails is not waited for beyond the time.
	if all, err := stores[0].Ask(t.Context(), "test", 3, time.Second); err != nil || len(all) > 2 {
		t.Errorf("%d nodes answer, %v", len(all), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stores[0].Ask(ctx, "test", 3, time.Minute); err == nil {
		t.Error("who has gone gets an answer")
	}
}
