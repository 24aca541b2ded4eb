package accesskey

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"dms/tenancy"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// from signs a request at the clock's time with a secret and lets the verifier judge it
// as if it came from the address.
func from(t *testing.T, v *Verifier, c *clock, address, id string, secret Secret) bool {
	t.Helper()
	r := httptest.NewRequest("GET", "/v2/p/queues", nil)
	r.RemoteAddr = address
	if err := Sign(r, nil, id, secret, c.at); err != nil {
		t.Fatal(err)
	}
	_, err := v.VerifySignature(r, nil)
	return err == nil
}

func TestFiveWrongSignaturesLockTheKeyForTheirAddressOnly(t *testing.T) {
	c := &clock{noon}
	v, err := New(testKeys(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	key, other := testKeys()[1], testKeys()[0]
	const attacker, owner = "192.0.2.1:1000", "192.0.2.2:1000"
	wrong := func(n int) {
		t.Helper()
		for i := range n {
			if from(t, v, c, fmt.Sprintf("192.0.2.1:%d", 2000+i), key.ID, "wrong-wrong-wrong-wrong-wrong") {
				t.Fatal("a wrong signature is accepted")
			}
		}
	}
	wrong(4)
	if !from(t, v, c, attacker, key.ID, key.Secret) {
		t.Error("four wrong signatures lock the key")
	}
	wrong(4)
	if !from(t, v, c, attacker, key.ID, key.Secret) {
		t.Error("a right signature does not end the row of wrong ones")
	}
	wrong(5)
	if from(t, v, c, attacker, key.ID, key.Secret) {
		t.Error("five wrong signatures do not lock the key")
	}
	if _, _, err := v.VerifySecret(key.ID, string(key.Secret), attacker); err == nil {
		t.Error("a locked key can still be exchanged")
	}
	if !from(t, v, c, owner, key.ID, key.Secret) {
		t.Error("somebody locked the key for its owner at another address")
	}
	if !from(t, v, c, attacker, other.ID, other.Secret) {
		t.Error("another key is locked for the address")
	}
	c.at = c.at.Add(lockFor - time.Second)
	wrong(1) // does not count
	if from(t, v, c, attacker, key.ID, key.Secret) {
		t.Error("the lock ends early")
	}
	c.at = c.at.Add(time.Second)
	if !from(t, v, c, attacker, key.ID, key.Secret) {
		t.Error("the lock does not end, or goes on with attempts while it lasts")
	}
}

func TestWrongSecretsLockTheKeyToo(t *testing.T) {
	c := &clock{noon}
	v, err := New(testKeys(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	key := testKeys()[1]
	for range lockAfter {
		if _, _, err := v.VerifySecret(key.ID, "wrong", "192.0.2.1:1"); err == nil {
			t.Fatal("a wrong secret is accepted")
		}
	}
	if from(t, v, c, "192.0.2.1:1", key.ID, key.Secret) {
		t.Error("wrong secrets do not lock signatures")
	}
	if id, until, err := v.VerifySecret(key.ID, string(key.Secret), "192.0.2.2:1"); err != nil || id.KeyID != key.ID || !until.IsZero() {
		t.Errorf("the right secret from elsewhere: %+v until %s, %v", id, until, err)
	}
}

func TestWhatIsRememberedOfWrongSignaturesIsBounded(t *testing.T) {
	l := newLockout()
	for i := range maxSuspects + 1000 {
		l.allow(suspect{"key", fmt.Sprint(i)}, false, noon)
	}
	if len(l.known) != maxSuspects || l.recent.Len() != maxSuspects {
		t.Errorf("%d and %d suspects are remembered, want %d", len(l.known), l.recent.Len(), maxSuspects)
	}
	if _, ok := l.known[suspect{"key", "0"}]; ok {
		t.Error("the oldest suspect is remembered")
	}
	v, err := New(testKeys(), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, _, err := v.VerifySecret(fmt.Sprintf("MADEUP%d", i), "wrong", "192.0.2.1"); err == nil {
			t.Fatal("a key that does not exist is accepted")
		}
	}
	if len(v.locks.known) != 0 {
		t.Errorf("%d keys that do not exist are remembered", len(v.locks.known))
	}
}

func TestSourcesAreWhatACallerCannotChangeAtWill(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:9": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "": "", "@": "@", "[::1]:80": "::/64",
	} {
		if got := sourceOf(address); got != want {
			t.Errorf("%q comes from %q, want %q", address, got, want)
		}
	}
}

// rotating is one key that a test changes.
type rotating struct{ key Key }

func (r *rotating) AccessKey(id string) (Key, bool) { return r.key, id == r.key.ID }

func TestAFormerSecretEndsWithItsOverlap(t *testing.T) {
	c := &clock{noon}
	keys := &rotating{testKeys()[1]}
	var used []string
	v, err := NewVerifier(Options{Keys: keys, Now: c.now, Used: func(id string) { used = append(used, id) }})
	if err != nil {
		t.Fatal(err)
	}
	old := keys.key.Secret
	keys.key.Former, keys.key.Secret, keys.key.Generation = old, "another-secret-another-secret-another-se", 4
	keys.key.FormerUntil = noon.Add(time.Minute)
	try := func(secret Secret) (tenancy.Identity, time.Time, bool) {
		t.Helper()
		signed := from(t, v, c, "192.0.2.1", keys.key.ID, secret)
		id, until, err := v.VerifySecret(keys.key.ID, string(secret), "192.0.2.1")
		if signed != (err == nil) {
			t.Errorf("signature accepted %t, secret %v", signed, err)
		}
		return id, until, signed
	}
	if id, until, ok := try(keys.key.Secret); !ok || id.KeyGeneration != 4 || !until.IsZero() {
		t.Errorf("the new secret: %t, generation %d until %s", ok, id.KeyGeneration, until)
	}
	if id, until, ok := try(old); !ok || id.KeyGeneration != 3 || !until.Equal(noon.Add(time.Minute)) {
		t.Errorf("the former secret: %t, generation %d until %s", ok, id.KeyGeneration, until)
	}
	if len(used) != 4 {
		t.Errorf("%d uses were told, want 4", len(used))
	}
	c.at = noon.Add(time.Minute)
	if _, _, ok := try(old); ok {
		t.Error("the former secret outlives its overlap")
	}
	keys.key.Expires = noon.Add(2 * time.Minute)
	if _, until, ok := try(keys.key.Secret); !ok || !until.Equal(keys.key.Expires) {
		t.Errorf("a key that will end: %t until %s", ok, until)
	}
	c.at = keys.key.Expires
	if _, _, ok := try(keys.key.Secret); ok {
		t.Error("an expired key is accepted")
	}
	keys.key.Secret, keys.key.Expires = "", time.Time{}
	if _, _, ok := try(decoySecret); ok {
		t.Error("a key without a secret is accepted")
	}
}

func TestKeysAreBroughtUpToDateBeforeASecretIsWrong(t *testing.T) {
	c := &clock{noon}
	keys := &rotating{}
	asked := 0
	var change func()
	v, err := NewVerifier(Options{Keys: keys, Now: c.now, Fresh: func() { asked++; change() }})
	if err != nil {
		t.Fatal(err)
	}
	key := testKeys()[1]
	change = func() { keys.key = key } // it was made on another node
	if !from(t, v, c, "192.0.2.1", key.ID, key.Secret) || asked != 1 {
		t.Errorf("a key that was made just now is refused, after asking %d times", asked)
	}
	if !from(t, v, c, "192.0.2.1", key.ID, key.Secret) || asked != 1 {
		t.Errorf("a known key is refused, or was asked for %d times", asked)
	}
	const next = "another-secret-another-secret-another-se"
	change = func() { keys.key.Secret, keys.key.Generation = next, 1 } // it was rotated
	for range 10 {
		if !from(t, v, c, "192.0.2.1", key.ID, next) {
			t.Fatal("a secret that was made just now is refused")
		}
	}
	change = func() {}
	asked = 0
	for range lockAfter + 10 {
		if from(t, v, c, "192.0.2.1", key.ID, key.Secret) {
			t.Fatal("the former secret is accepted")
		}
	}
	// A locked key is asked for like one that does not exist, so that it takes as long.
	if from(t, v, c, "192.0.2.1", "UNKNOWN", key.Secret); asked != lockAfter+11 {
		t.Errorf("asked %d times for %d wrong secrets", asked, lockAfter+11)
	}
}

func TestGenerationsOfAKeyEnd(t *testing.T) {
	k := Key{Generation: 2, Expires: noon.Add(time.Hour), FormerUntil: noon.Add(time.Minute)}
	for generation, want := range map[int]bool{0: false, 1: true, 2: true, 3: false, -1: false} {
		if _, ok := k.Until(generation, noon); ok != want {
			t.Errorf("generation %d of 2 is valid: %t", generation, ok)
		}
	}
	if until, ok := k.Until(1, noon.Add(time.Minute)); ok {
		t.Errorf("the generation before is valid until %s after its overlap", until)
	}
	k.FormerUntil = noon.Add(2 * time.Hour)
	if until, _ := k.Until(1, noon); !until.Equal(k.Expires) {
		t.Errorf("the generation before outlives the key, until %s", until)
	}
	k.FormerUntil = time.Time{}
	if _, ok := k.Until(1, noon); ok {
		t.Error("the generation before is valid without an overlap")
	}
}
