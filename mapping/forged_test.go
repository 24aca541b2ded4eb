package mapping

import (
	"crypto/rand"
	"encoding/base64"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/tenancy/seal"

	"github.com/google/go-cmp/cmp"
)

// TestTenThousandForgedHandlesHaveNoEffect acknowledges with everything that is not
// the handle of a delivery, and then with the handle itself.
func TestTenThousandForgedHandlesHaveNoEffect(t *testing.T) {
	t.Parallel()
	const forgeries = 10_000
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 5})
		other := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 5})
		sibling, siblings := newQueue(t, f.b, f.p, dms.NewQueue{Name: "sibling", Mode: mode})
		for _, q := range []struct {
			b   *Broker
			ref dms.QueueRef
		}{{f.b, f.queue}, {other.b, other.queue}, {f.b, sibling}} {
			send(t, q.b, q.ref, "m1", "m2")
		}
		good := receiveExactly(t, f.b, f.group, 2)
		before := counters(t, f.b, f.group)
		try := func(h dms.Handle, want dms.Code) {
			t.Helper()
			for _, success := range []bool{true, false} {
				_, err := f.b.Acknowledge(t.Context(), f.group, dms.Live, []dms.Ack{{Handle: h, Success: success}})
				if !has(err, want) {
					t.Fatalf("acknowledging %q, success %t, answers %v, want %s", h, success, err, want)
				}
			}
		}

		foreign := receiveExactly(t, other.b, other.group, 2)
		try(foreign[0].Handle, dms.HandleInvalid)
		of := receiveExactly(t, f.b, siblings, 2)
		try(of[0].Handle, dms.HandleOfOther)
		sealed, err := base64.RawURLEncoding.DecodeString(string(good[0].Handle))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for bit := range 8 * len(sealed) {
			sealed[bit/8] ^= 1 << (bit % 8)
			try(dms.Handle(base64.RawURLEncoding.EncodeToString(sealed)), dms.HandleInvalid)
			sealed[bit/8] ^= 1 << (bit % 8)
			n++
		}
		for cut := range good[0].Handle {
			try(good[0].Handle[:cut], dms.HandleInvalid)
			try(good[0].Handle[cut+1:], dms.HandleInvalid)
			n += 2
		}
		random := make([]byte, len(sealed))
		for ; n < forgeries; n++ {
			rand.Read(random)
			random[0], random[1] = sealed[0], sealed[1] // the version and the key are right
			try(dms.Handle(base64.RawURLEncoding.EncodeToString(random)), dms.HandleInvalid)
		}
		open, err := f.b.sealer.open(f.p.ID, good[0].Handle)
		if err != nil {
			t.Fatal(err)
		}
		expired := open
		expired.deadline = time.Now().Add(-time.Millisecond)
		try(f.b.sealer.seal(expired), dms.HandleInvalid)
		kind := open
		kind.kind = dms.Dead
		try(f.b.sealer.seal(kind), dms.HandleOfOtherKind)
		rotated, err := seal.New([]seal.Key{{ID: 1, Secret: [32]byte{9}}})
		if err != nil {
			t.Fatal(err)
		}
		try(sealer{rotated}.seal(open), dms.HandleInvalid)

		if d := cmp.Diff(before, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters after the forgeries (-want +got):\n%s", d)
		}
		// One handle that is not good takes the whole call with it.
		mixed := append(acks(good), dms.Ack{Handle: foreign[1].Handle, Success: true})
		_, err = f.b.Acknowledge(t.Context(), f.group, dms.Live, mixed)
		wantCode(t, err, dms.HandleInvalid)
		if d := cmp.Diff(before, counters(t, f.b, f.group)); d != "" {
			t.Errorf("counters after a mixed call (-want +got):\n%s", d)
		}
		acknowledge(t, f.b, f.group, dms.Live, acks(good), 2)
	})
}
