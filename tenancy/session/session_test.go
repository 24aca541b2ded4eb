package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/seal"
	"dms/tenancy/session"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// clock is moved by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open opens the sessions of an account as the node beside a member does.
func open(t *testing.T, account tenancy.ProjectID, member int, c *clock) *session.Store {
	t.Helper()
	s, err := session.Open(t.Context(), session.Options{
		Conn: cluster.ConnVia(t, member, account), Sealing: []seal.Key{{ID: 1, Secret: [32]byte{7}}}, Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func aSession() tenancy.Session {
	return tenancy.Session{Provider: "dev", Access: "the-access-token", ID: "the-id-token", Refresh: "the-refresh-token", Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
}

func start(t *testing.T, s *session.Store) (secret string) {
	t.Helper()
	secret, err := s.Start(t.Context(), aSession())
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func find(t *testing.T, s *session.Store, secret string) tenancy.Session {
	t.Helper()
	one, err := s.Find(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func gone(t *testing.T, s *session.Store, secret, when string) {
	t.Helper()
	if one, err := s.Find(t.Context(), secret); !errors.Is(err, tenancy.ErrNoSession) {
		t.Errorf("%s: found %v, %v, want no session", when, one, err)
	}
}

func TestASessionIsServedByEveryNode(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	one, two := open(t, account, 0, c), open(t, account, 1, c)
	secret := start(t, one)
	want := aSession()
	want.Started, want.Used = c.Now().UTC(), c.Now().UTC()
	for i, s := range []*session.Store{one, two} {
		got := find(t, s, secret)
		want.Expires = got.Expires // made at another moment
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("node %d (-want +got):\n%s", i, d)
		}
	}
	other := start(t, two)
	if other == secret {
		t.Fatal("two sessions have one secret")
	}
	if err := two.Stop(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	gone(t, two, secret, "where it was ended")
	c.pass(2 * time.Second)
	gone(t, one, secret, "elsewhere, two seconds later")
	find(t, one, other)
	if err := one.Stop(t.Context(), secret); err != nil {
		t.Errorf("ended again: %v", err)
	}
}

func TestSecretsThatNobodyHasFindNothing(t *testing.T) {
	s := open(t, enginetest.NewProject().ID, 0, newClock())
	secret := start(t, s)
	flipped := []byte(secret)
	flipped[len(flipped)-1] ^= 1
	for _, wrong := range []string{"", "x", secret[:51], secret + "A", strings.ToLower(secret), string(flipped), strings.Repeat("A", 52), "*", ">"} {
		gone(t, s, wrong, wrong)
	}
}

func TestASessionEndsWhenNobodyUsesIt(t *testing.T) {
	c := newClock()
	s := open(t, enginetest.NewProject().ID, 0, c)
	used, idle := start(t, s), start(t, s)
	for range 3 {
		c.pass(session.DefaultIdle * 2 / 3)
		one := find(t, s, used)
		s.Use(t.Context(), used, one)
	}
	gone(t, s, idle, "without use")
	one := find(t, s, used)
	if got := c.Now().Sub(one.Used); got != 0 {
		t.Errorf("it was used %s ago, want just now", got)
	}
	if got := s.Idle(one).Sub(c.Now()); got != session.DefaultIdle {
		t.Errorf("it ends in %s, want %s", got, session.DefaultIdle)
	}
}

func TestASessionEndsInAnyCase(t *testing.T) {
	c := newClock()
	s := open(t, enginetest.NewProject().ID, 0, c)
	secret := start(t, s)
	for range int(session.DefaultLife/(20*time.Minute)) - 1 {
		c.pass(20 * time.Minute)
		s.Use(t.Context(), secret, find(t, s, secret))
	}
	find(t, s, secret)
	c.pass(20 * time.Minute)
	gone(t, s, secret, "after its life")
}

func TestUsesAreWrittenOnceAMinute(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	s := open(t, account, 0, c)
	secret := start(t, s)
	first := find(t, s, secret).Used
	c.pass(50 * time.Second)
	s.Use(t.Context(), secret, find(t, s, secret))
	if got := find(t, s, secret).Used; !got.Equal(first) {
		t.Errorf("written after %s", got.Sub(first))
	}
	c.pass(20 * time.Second)
	s.Use(t.Context(), secret, find(t, s, secret))
	if got := find(t, open(t, account, 1, c), secret).Used; got.Sub(first) != 70*time.Second {
		t.Errorf("another node reads that it was used after %s, want 1m10s", got.Sub(first))
	}
}

func TestOfManyChangesEachIsMade(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	nodes := []*session.Store{open(t, account, 0, c), open(t, account, 1, c)}
	secret := start(t, nodes[0])
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := nodes[i%2].Change(t.Context(), secret, func(there tenancy.Session) (tenancy.Session, error) {
				there.Access += "x"
				return there, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c.pass(3 * time.Second)
	if got, want := find(t, nodes[0], secret).Access, "the-access-token"+strings.Repeat("x", 8); got != want {
		t.Errorf("the token is %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if _, err := nodes[0].Change(t.Context(), secret, func(one tenancy.Session) (tenancy.Session, error) { return one, stop }); !errors.Is(err, stop) {
		t.Errorf("a change that is given up ends with %v", err)
	}
}

func TestANameIsUsedOnce(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	nodes := []*session.Store{open(t, account, 0, c), open(t, account, 1, c)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	firsts := 0
	for i := range 8 {
		wg.Go(func() {
			first, err := nodes[i%2].Once(t.Context(), "a state", time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if first {
				firsts++
			}
		})
	}
	wg.Wait()
	if firsts != 1 {
		t.Errorf("%d were first, want 1", firsts)
	}
	if first, err := nodes[0].Once(t.Context(), "another state", time.Minute); err != nil || !first {
		t.Errorf("another name: %v, %v", first, err)
	}
}

// Who reads the bucket, or writes one record in place of another, gets nowhere.
func TestTheBucketHoldsNothingThatLetsAnybodyIn(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	s := open(t, account, 0, c)
	mine, theirs := start(t, s), start(t, s)
	conn := cluster.ConnVia(t, 0, account)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_sessions")
	if err != nil {
		t.Fatal(err)
	}
	var stored []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= 2; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{mine, theirs, "the-access-token", "the-id-token", "the-refresh-token"} {
			if strings.Contains(m.Subject, secret) || bytes.Contains(m.Data, []byte(secret)) {
				t.Errorf("the record at %d holds %q", seq, secret)
			}
		}
		stored = append(stored, m)
	}
	if _, err := js.Publish(t.Context(), stored[0].Subject, stored[1].Data); err != nil {
		t.Fatal(err)
	}
	gone(t, s, mine, "with the content of another session")
	find(t, s, theirs)
	other, err := session.Open(t.Context(), session.Options{Conn: conn, Sealing: []seal.Key{{ID: 1, Secret: [32]byte{8}}}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	gone(t, other, theirs, "with other keys")
}

// While the bucket cannot be asked, what was read before counts for a while.
func TestASessionSurvivesTheLossOfTheLeader(t *testing.T) {
	account, c := enginetest.NewProject().ID, newClock()
	conn := cluster.ConnVia(t, 0, account)
	s, err := session.Open(t.Context(), session.Options{Conn: conn, Sealing: []seal.Key{{ID: 1, Secret: [32]byte{7}}}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	secret := start(t, s)
	want := find(t, s, secret)
	conn.Close()
	c.pass(5 * time.Second)
	if d := cmp.Diff(want, find(t, s, secret)); d != "" {
		t.Errorf("after five seconds (-want +got):\n%s", d)
	}
	c.pass(20 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if one, err := s.Find(ctx, secret); !errors.Is(err, tenancy.ErrUnavailable) {
		t.Errorf("after 25 seconds: %v, %v, want unavailable", one, err)
	}
}

func TestSessionsDoNotShowTheirTokens(t *testing.T) {
	one := aSession()
	for _, shown := range []string{one.String(), one.GoString(), one.LogValue().String()} {
		for _, secret := range []string{one.Access, one.ID, one.Refresh} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows %s", shown, secret)
			}
		}
	}
}
