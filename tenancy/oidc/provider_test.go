package oidc

import (
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy/oidc/oidctest"
)

const (
	project1 = oidctest.Project1
	project2 = oidctest.Project2
)

var noon = oidctest.Noon()

type (
	idp = oidctest.Provider
	m   = oidctest.M
)

func startIDP(t testing.TB) *idp {
	t.Helper()
	return oidctest.Start(t)
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, kid, typ string, key any, claims any) string {
	t.Helper()
	return oidctest.Sign(t, algorithm, kid, typ, key, claims)
}

func access(t testing.TB, p *idp, changes m) string {
	t.Helper()
	return p.Access(t, changes)
}

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func startVerifier(t testing.TB, p *idp, c *clock, change func(*Options)) *Verifier {
	t.Helper()
	o := Options{ID: "test", Issuer: p.URL, Audience: []string{"dms", "dms-two"}, Client: p.Client(), Now: c.now}
	if change != nil {
		change(&o)
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// waitFor polls until the condition returns "".
func waitFor(t testing.TB, condition func() string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := condition()
		if problem == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still: %s", problem)
		case <-tick.C:
		}
	}
}
