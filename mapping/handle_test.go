package mapping

import (
	"encoding/base64"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"
)

const (
	handleSize = 1 + seal.Overhead + receiptSize
	alphabet64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

func testSealer(t testing.TB, ids ...byte) sealer {
	t.Helper()
	var keys []seal.Key
	for _, id := range ids {
		keys = append(keys, seal.Key{ID: id, Secret: [32]byte{id, 1, 2, 3}})
	}
	boxes, err := seal.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{boxes}
}

func sampleReceipt() receipt {
	return receipt{
		ref: refOf(queueA, groupA), kind: dms.Live,
		batch: [16]byte{1, 2, 3}, place: 2, size: 10, node: [8]byte{9, 8},
		deliveries: 4, seq: 1234567, consumerSeq: 7654321, deadline: time.UnixMilli(1767225630000),
	}
}

func wantRefused(t *testing.T, s sealer, p tenancy.ProjectID, h dms.Handle, what string) {
	t.Helper()
	if r, err := s.open(p, h); !errors.Is(err, errHandle) || r != (receipt{}) {
		t.Errorf("%s: open(%q) = %+v, %v, want nothing and %v", what, h, r, err, errHandle)
	}
}

func TestAHandleSaysWhatWasSealed(t *testing.T) {
	s := testSealer(t, 1)
	rnd := rand.New(rand.NewPCG(1, 2))
	receipts := []receipt{
		sampleReceipt(),
		{ref: refOf("00000000-0000-0000-0000-000000000000", "g-00000000-0000-0000-0000-000000000000"), deadline: time.UnixMilli(0)},
		{
			ref:  refOf("ffffffff-ffff-ffff-ffff-ffffffffffff", "g-ffffffff-ffff-ffff-ffff-ffffffffffff"),
			kind: math.MaxUint8, place: math.MaxUint8, size: math.MaxUint8, deliveries: math.MaxUint32,
			seq: math.MaxUint64, consumerSeq: math.MaxUint64, deadline: time.UnixMilli(math.MaxInt64),
		},
	}
	for range 200 {
		r := receipt{
			ref: refOf(dms.NewQueueID(), dms.NewGroupID()), kind: dms.Kind(1 + rnd.IntN(2)),
			batch: randomBatch(), place: byte(rnd.IntN(10)), size: byte(rnd.IntN(11)),
			deliveries: rnd.Uint32(), seq: rnd.Uint64(), consumerSeq: rnd.Uint64(), deadline: time.UnixMilli(rnd.Int64N(1 << 42)),
		}
		for i := range r.node {
			r.node[i] = byte(rnd.Uint32())
		}
		receipts = append(receipts, r)
		r.gen, r.origin = rnd.Uint32(), time.UnixMilli(1+rnd.Int64N(1<<42))
		receipts = append(receipts, r)
	}
	for _, want := range receipts {
		h := s.seal(want)
		got, err := s.open(want.ref.Project, h)
		if err != nil || got != want {
			t.Errorf("sealed %+v, opened %+v, %v", want, got, err)
		}
		if strings.Trim(string(h), alphabet64) != "" {
			t.Errorf("handle %q is not base64url", h)
		}
	}
}

// recorded is sampleReceipt as version 1 sealed it once. Nodes of two releases run
// side by side during an upgrade and open each other's handles.
const recorded = "AQHtIgHY_l1bx71V-f1e8cm5M8IiPL86VJ_KUqa-uU7TOkEs_hVIZqk0-e4HuQUkL08dKlF4bvTtNkXQJS7lvDlUQLbm9UzglGuWNHfE_V52tUUTFTWlhnzoVI6mMPpx1fJqZny8tN6bCUaDp7k-8knVYkr8kzgoPFhEC9z-7xVK"

func TestARecordedHandleStillOpens(t *testing.T) {
	want := sampleReceipt()
	if got, err := testSealer(t, 1).open(want.ref.Project, recorded); err != nil || got != want {
		t.Errorf("opened %+v, %v, want %+v", got, err, want)
	}
}

func TestADeadlineLosesPartsOfAMillisecondOnly(t *testing.T) {
	s, r := testSealer(t, 1), sampleReceipt()
	r.deadline = r.deadline.Add(999 * time.Microsecond)
	got, err := s.open(r.ref.Project, s.seal(r))
	if want := sampleReceipt().deadline; err != nil || !got.deadline.Equal(want) {
		t.Errorf("deadline is %v (%v), want %v, never a later one", got.deadline, err, want)
	}
}

func TestHandlesOfOneDeliveryTellNothingOfEachOther(t *testing.T) {
	s, r := testSealer(t, 1), sampleReceipt()
	a, b := string(s.seal(r)), string(s.seal(r))
	if a[4:] == b[4:] {
		t.Error("two handles are the same")
	}
}

func TestEveryChangeOfAHandleIsRefused(t *testing.T) {
	s, r := testSealer(t, 1, 2), sampleReceipt()
	project, h := r.ref.Project, string(s.seal(r))
	raw, err := handleEncoding.DecodeString(h)
	if err != nil || len(raw) != handleSize {
		t.Fatalf("handle has %d bytes (%v), want %d", len(raw), err, handleSize)
	}
	for bit := range 8 * len(raw) {
		raw[bit/8] ^= 1 << (bit % 8)
		wantRefused(t, s, project, dms.Handle(handleEncoding.EncodeToString(raw)), "flipped bit")
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for i := range len(h) {
		for _, c := range []byte(alphabet64 + "=+/. ~\r\n\t\x00\xff") {
			if c != h[i] {
				wantRefused(t, s, project, dms.Handle(h[:i]+string(rune(c))+h[i+1:]), "changed character")
				wantRefused(t, s, project, dms.Handle(h[:i]+string([]byte{c})+h[i+1:]), "changed byte")
			}
		}
		wantRefused(t, s, project, dms.Handle(h[:i]), "truncated")
		wantRefused(t, s, project, dms.Handle(h[i+1:]), "beheaded")
		wantRefused(t, s, project, dms.Handle(h[:i]+h[i+1:]), "character left out")
		for _, more := range []string{"A", "=", "\n", "\r\n", " "} {
			wantRefused(t, s, project, dms.Handle(h[:i]+more+h[i:]), "longer")
		}
	}
}

func TestOnlyTheOneSpellingOfAHandleIsAccepted(t *testing.T) {
	s, r := testSealer(t, 1), sampleReceipt()
	project := r.ref.Project
	// Both 62 and 63 must occur, so that the other alphabet spells it differently.
	h := string(s.seal(r))
	for !strings.ContainsAny(h, "-_") {
		h = string(s.seal(r))
	}
	raw, err := handleEncoding.DecodeString(h)
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]string{
		"standard alphabet": base64.RawStdEncoding.EncodeToString(raw),
		"padded":            h + "=",
		"padded twice":      h + "==",
		"upper case":        strings.ToUpper(h),
		"quoted":            `"` + h + `"`,
		"doubled":           h + h,
		"one byte more":     handleEncoding.EncodeToString(append(raw, 0)),
		"two bytes more":    handleEncoding.EncodeToString(append(raw, 0, 0)),
		"one byte less":     handleEncoding.EncodeToString(raw[:len(raw)-1]),
		"two bytes less":    handleEncoding.EncodeToString(raw[:len(raw)-2]),
		"a group less":      handleEncoding.EncodeToString(raw[:len(raw)-3]),
		"head only":         handleEncoding.EncodeToString(raw[:26]),
		"empty":             "",
		"line at the end":   h + "\n",
	} {
		wantRefused(t, s, project, dms.Handle(other), what)
	}
	if got, err := s.open(project, dms.Handle(h)); err != nil || got != r {
		t.Errorf("the handle itself gives %+v, %v", got, err)
	}
}

func TestAHandleIsWorthNothingInAnotherProject(t *testing.T) {
	s, r := testSealer(t, 1), sampleReceipt()
	h := s.seal(r)
	for _, p := range []tenancy.ProjectID{"", "1123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcde", "0123456789ABCDEF0123456789ABCDEF"} {
		wantRefused(t, s, p, h, "other project "+string(p))
	}
}

func TestKeysCanBeRenewed(t *testing.T) {
	r := sampleReceipt()
	old, both, fresh := testSealer(t, 1), testSealer(t, 2, 1), testSealer(t, 2)
	before, after := old.seal(r), both.seal(r)
	for what, c := range map[string]struct {
		s sealer
		h dms.Handle
	}{"old handle, both keys": {both, before}, "new handle, both keys": {both, after}, "new handle, new key": {fresh, after}} {
		if got, err := c.s.open(r.ref.Project, c.h); err != nil || got != r {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	wantRefused(t, fresh, r.ref.Project, before, "key taken away")
	wantRefused(t, old, r.ref.Project, after, "key not known yet")

	same, err := seal.New([]seal.Key{{ID: 1, Secret: [32]byte{42}}})
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, sealer{same}, r.ref.Project, before, "other key under the same id")
}

func TestMadeUpHandlesAreRefused(t *testing.T) {
	s := testSealer(t, 1)
	project := sampleReceipt().ref.Project
	rnd := rand.New(rand.NewPCG(3, 4))
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	for range 5_000 {
		raw := fill(make([]byte, handleSize))
		raw[0], raw[1] = handleVersion, 1
		wantRefused(t, s, project, dms.Handle(handleEncoding.EncodeToString(raw)), "right form")
		wantRefused(t, s, project, dms.Handle(fill(make([]byte, rnd.IntN(2*handleSize)))), "any bytes")
	}
}

func FuzzOpenHandle(f *testing.F) {
	s, r := testSealer(f, 1), sampleReceipt()
	f.Add(recorded)
	f.Add(strings.Repeat("\n", len(recorded)))
	f.Add("")
	f.Add(strings.Repeat("A", len(recorded)))
	f.Add(strings.Repeat("AQE", len(recorded)/3+1)[:len(recorded)])
	f.Add(recorded[:len(recorded)-4] + "\n\n\n\n")
	f.Fuzz(func(t *testing.T, h string) {
		got, err := s.open(r.ref.Project, dms.Handle(h))
		switch {
		case h == recorded:
			if err != nil || got != r {
				t.Errorf("the recorded handle gives %+v, %v", got, err)
			}
		case !errors.Is(err, errHandle) || got != receipt{}: // anything else is a forgery
			t.Errorf("open(%q) = %+v, %v", h, got, err)
		}
	})
}

func BenchmarkSealHandle(b *testing.B) {
	s, r := testSealer(b, 1), sampleReceipt()
	b.ReportAllocs()
	for b.Loop() {
		s.seal(r)
	}
}

func BenchmarkOpenHandle(b *testing.B) {
	s, r := testSealer(b, 1), sampleReceipt()
	h := s.seal(r)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.open(r.ref.Project, h); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLineBreaksDoNotMakeUpAHandle(t *testing.T) {
	s, project := testSealer(t, 1), sampleReceipt().ref.Project
	for n := range recorded {
		for _, end := range []string{"\n", "\r"} {
			wantRefused(t, s, project, dms.Handle(recorded[:n]+strings.Repeat(end, len(recorded)-n)), "filled up with line breaks")
		}
	}
}
