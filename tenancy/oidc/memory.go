package oidc

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"dms/tenancy"
)

const (
	// maxRemembered bounds one generation, by a rough count of bytes.
	maxRemembered = 4 << 20
	// grantSize is counted for each project of an identity, beside the size of its token.
	grantSize = 128
)

// tokenDigest stands for a token and what it was presented as. Only whoever has the whole
// token can make it, so that comparing digests tells nothing to anybody else.
type tokenDigest [sha256.Size]byte

func digest(raw string, exchange bool) tokenDigest {
	if len(raw) > maxToken {
		return tokenDigest{} // never remembered
	}
	h := sha256.New()
	if exchange {
		h.Write([]byte{1})
	} else {
		h.Write([]byte{0})
	}
	h.Write([]byte(raw))
	return tokenDigest(h.Sum(nil))
}

// verified is what is remembered of a token that was good.
type verified struct {
	identity tenancy.Identity
	expires  time.Time
	key      keyName // that signed it
	size     int     // as it counts towards maxRemembered
}

// memory remembers tokens that were good, so that a token's signature and claims are not
// gone through again at each request. It keeps two generations: when the younger one is
// full, the older one is forgotten, and what is in use moves up. Whether what it says
// still holds is for the caller to decide. The zero value is empty.
type memory struct {
	mu         sync.Mutex
	young, old map[tokenDigest]verified
	size       int // of young
	limit      int // maxRemembered if 0

	recalled, verified atomic.Int64 // tokens since the start
}

func (m *memory) get(d tokenDigest) (verified, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.young[d]; ok {
		return t, true
	}
	t, ok := m.old[d]
	if ok {
		m.add(d, t)
	}
	return t, ok
}

func (m *memory) put(d tokenDigest, t verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(d, t)
}

// add puts a token into the younger generation. The caller holds mu.
func (m *memory) add(d tokenDigest, t verified) {
	limit := m.limit
	if limit == 0 {
		limit = maxRemembered
	}
	if m.young == nil || m.size+t.size > limit {
		m.young, m.old, m.size = make(map[tokenDigest]verified), m.young, 0
	}
	m.young[d] = t
	m.size += t.size
}
