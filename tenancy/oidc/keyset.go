package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"dms/tenancy"
)

// How often a provider is asked for its keys. A stranger can send tokens with any key
// name, and must not be able to have us fetch for every one of them.
const (
	fetchPause   = 30 * time.Second // least time between two fetches once keys were had
	firstPause   = 2 * time.Second  // and before that
	fetchTimeout = 5 * time.Second  // of one fetch, discovery included
	refreshEvery = 10 * time.Minute // keys are fetched again in the background
	retryEvery   = time.Minute      // and this soon after a failure
	missingFor   = time.Minute      // a name that a fetch did not find is not looked for again
	maxMissing   = 1000             // such names that are remembered
)

// keySet holds the keys of one provider. It differs from go-oidc's own, which fetches
// for every unknown key, on the request's time, and never forgets one: a key that the
// provider withdraws is gone here after refreshEvery, and an outage of the provider
// stops nobody until stale has passed.
type keySet struct {
	issuer string
	client *http.Client
	stale  time.Duration // for this long keys are used that could not be fetched again
	now    func() time.Time
	log    *slog.Logger

	// life ends the fetches; running is for those that are under way.
	life    context.Context
	end     context.CancelCauseFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	keys    []providerKey
	fetched time.Time     // when keys were last had; zero before the first time
	tried   time.Time     // when the last fetch began
	failing bool          // it failed, and the log says so
	waiting chan struct{} // closed at the end of the fetch under way; nil if there is none
	missing map[string]time.Time
}

func newKeySet(issuer string, client *http.Client, stale time.Duration, now func() time.Time, log *slog.Logger) *keySet {
	life, end := context.WithCancelCause(context.Background())
	return &keySet{
		issuer: issuer, client: guardedClient(client), stale: stale, now: now, log: log, life: life, end: end,
		missing: make(map[string]time.Time),
	}
}

func (k *keySet) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end(errors.New("verifier is closed"))
	k.running.Wait()
	k.client.CloseIdleConnections()
}

// VerifySignature implements go-oidc's KeySet.
func (k *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	h, err := readHeader(raw)
	if err != nil {
		return nil, err
	}
	algorithm := jose.SignatureAlgorithm(h.Algorithm)
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, err
	}
	trail := trailOf(ctx)
	key, err := k.find(ctx, h)
	if err != nil {
		if errors.Is(err, tenancy.ErrUnavailable) {
			trail.trouble = err
		}
		return nil, err
	}
	trail.key = key.name
	return jws.Verify(key.Key)
}

// find returns the key that the header names, and fetches keys if it must and may.
func (k *keySet) find(ctx context.Context, h header) (providerKey, error) {
	keys, wait := k.current(false)
	key, err := choose(keys, h)
	if err == nil || len(keys) > 0 && (h.KeyID == "" || k.isMissing(h.KeyID)) {
		return key, err
	}
	if wait == nil {
		_, wait = k.current(true)
	}
	if wait != nil {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		select {
		case <-wait:
		case <-ctx.Done():
			return providerKey{}, fmt.Errorf("%w: keys of the identity provider: %w", tenancy.ErrUnavailable, ctx.Err())
		}
	}
	keys, _ = k.current(false)
	if len(keys) == 0 {
		return providerKey{}, fmt.Errorf("%w: no keys of the identity provider", tenancy.ErrUnavailable)
	}
	key, err = choose(keys, h)
	if err != nil && wait != nil {
		k.noteMissing(h.KeyID)
	}
	return key, err
}

// current returns the keys at hand, and the end of the fetch under way, if any. It
// begins one if the keys are old, or if they are missing something, unless the last one
// was too short a time ago.
func (k *keySet) current(missing bool) ([]providerKey, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.fetched)
	had := !k.fetched.IsZero()
	if had && age > k.stale && k.keys != nil {
		k.keys = nil
		k.log.LogAttrs(k.life, slog.LevelError, "keys of the identity provider are too old and no longer used", slog.Duration("age", age))
	}
	pause := firstPause
	if had {
		pause = fetchPause
	}
	wanted := missing || had && age > refreshEvery
	if wanted && !k.closed && k.waiting == nil && (k.tried.IsZero() || now.Sub(k.tried) >= pause) {
		k.tried = now
		done := make(chan struct{})
		k.waiting = done
		// Owned by the set: close waits for it.
		k.running.Go(func() { k.fetch(done) })
	}
	return k.keys, k.waiting
}

// holds reports whether the key is still one of the provider's. It keeps the keys fresh
// as current does, since a token that is remembered asks for nothing else.
func (k *keySet) holds(name keyName) bool {
	keys, _ := k.current(false)
	for _, key := range keys {
		if key.name == name {
			return true
		}
	}
	return false
}

func (k *keySet) fetch(done chan struct{}) {
	ctx, cancel := context.WithTimeout(k.life, fetchTimeout)
	defer cancel()
	keys, err := fetchKeys(ctx, k.client, k.issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	defer close(done)
	k.waiting = nil
	if err != nil {
		// Said once, not at every attempt during an outage.
		if !k.failing && k.life.Err() == nil {
			k.log.LogAttrs(ctx, slog.LevelWarn, "keys of the identity provider could not be fetched", slog.Any("error", err))
		}
		k.failing = true
		return
	}
	if k.failing {
		k.log.LogAttrs(ctx, slog.LevelInfo, "keys of the identity provider can be fetched again")
	}
	k.failing = false
	if k.fetched.IsZero() {
		// Owned by the set: close ends it and waits for it.
		k.running.Go(k.refresh)
	}
	k.keys, k.fetched = keys, k.now()
}

// refresh fetches keys again and again, so that one that was withdrawn is forgotten also
// where nobody signs in.
func (k *keySet) refresh() {
	timer := time.NewTimer(refreshEvery)
	defer timer.Stop()
	for {
		select {
		case <-k.life.Done():
			return
		case <-timer.C:
		}
		if _, wait := k.current(true); wait != nil {
			<-wait // ends with life, or after fetchTimeout
		}
		k.mu.Lock()
		next := refreshEvery
		if k.failing {
			next = retryEvery
		}
		k.mu.Unlock()
		timer.Reset(next)
	}
}

// isMissing reports whether a fetch a short time ago did not find the name.
func (k *keySet) isMissing(kid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since, ok := k.missing[kid]
	return ok && k.now().Sub(since) < missingFor
}

// noteMissing remembers a name that the last fetch did not find, if that succeeded.
func (k *keySet) noteMissing(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failing {
		return
	}
	if len(k.missing) >= maxMissing {
		// Strangers can fill it. What is lost saves nothing but a fetch, and fetches
		// are paused as well.
		clear(k.missing)
	}
	k.missing[kid] = k.now()
}

// trail is what a key set has to tell beside go-oidc, which keeps only the text of its
// errors and does not say which key was right.
type trail struct {
	trouble error
	key     keyName
}

type trailKey struct{}

func withTrail(ctx context.Context, t *trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return &trail{}
}
