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
	staleAfter   = 10 * time.Minute // then keys are fetched again, in the background
	dropAfter    = 24 * time.Hour   // then keys that could not be fetched again are no longer used
)

// keySet holds the keys of one provider. It differs from go-oidc's own, which fetches
// for every unknown key and never forgets one: a key that the provider withdraws is
// gone here after staleAfter.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	// life ends the fetches; running is for those that are under way.
	life    context.Context
	end     context.CancelCauseFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	keys    []jose.JSONWebKey
	fetched time.Time     // when keys were last had; zero before the first time
	tried   time.Time     // when the last fetch began
	waiting chan struct{} // closed at the end of the fetch under way; nil if there is none
}

func newKeySet(issuer string, client *http.Client, now func() time.Time, log *slog.Logger) *keySet {
	life, end := context.WithCancelCause(context.Background())
	return &keySet{issuer: issuer, client: guardedClient(client), now: now, log: log, life: life, end: end}
}

func (k *keySet) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end(errors.New("verifier is closed"))
	k.running.Wait()
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
	key, err := k.find(ctx, h)
	if err != nil {
		if errors.Is(err, tenancy.ErrUnavailable) {
			setTrouble(ctx, err)
		}
		return nil, err
	}
	return jws.Verify(key)
}

// find returns the key that the header names, and fetches keys if it must and may.
func (k *keySet) find(ctx context.Context, h header) (any, error) {
	keys, wait := k.current(false)
	key, err := choose(keys, h)
	if err == nil {
		return key, nil
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
			return nil, fmt.Errorf("%w: keys of the identity provider: %w", tenancy.ErrUnavailable, ctx.Err())
		}
	}
	keys, _ = k.current(false)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no keys of the identity provider", tenancy.ErrUnavailable)
	}
	return choose(keys, h)
}

// current returns the keys at hand, and the end of the fetch under way, if any. It
// begins one if the keys are stale, or if they are missing something, unless the last
// one was too short a time ago.
func (k *keySet) current(missing bool) ([]jose.JSONWebKey, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.fetched)
	had := !k.fetched.IsZero()
	if had && age > dropAfter {
		k.keys = nil
	}
	pause := firstPause
	if had {
		pause = fetchPause
	}
	wanted := missing || had && age > staleAfter
	if wanted && !k.closed && k.waiting == nil && (k.tried.IsZero() || now.Sub(k.tried) >= pause) {
		k.tried = now
		done := make(chan struct{})
		k.waiting = done
		// Owned by the set: close waits for it.
		k.running.Go(func() { k.fetch(done) })
	}
	return k.keys, k.waiting
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
		k.log.LogAttrs(ctx, slog.LevelWarn, "keys of the identity provider could not be fetched", slog.Any("error", err))
		return
	}
	k.keys, k.fetched = keys, k.now()
}

// choose returns the key with the name and for the algorithm of the header. A token
// without a key name is taken only where there is no choice.
func choose(keys []jose.JSONWebKey, h header) (any, error) {
	if h.KeyID == "" {
		if len(keys) == 1 && fits(keys[0], h.Algorithm) {
			return keys[0].Key, nil
		}
		return nil, errors.New("no key is named and there is not exactly one")
	}
	for _, key := range keys {
		if key.KeyID == h.KeyID && fits(key, h.Algorithm) {
			return key.Key, nil
		}
	}
	return nil, errors.New("the key is unknown")
}

// troubleKey carries a place for an error through go-oidc, which keeps only its text.
type troubleKey struct{}

func withTrouble(ctx context.Context, to *error) context.Context {
	return context.WithValue(ctx, troubleKey{}, to)
}

func setTrouble(ctx context.Context, err error) {
	if to, ok := ctx.Value(troubleKey{}).(*error); ok {
		*to = err
	}
}
