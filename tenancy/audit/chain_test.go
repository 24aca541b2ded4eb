package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const project = "0123456789abcdef0123456789abcdef"

type stored struct {
	sequence uint64
	data     []byte
}

func newChain(t testing.TB, secret byte) *Chain {
	t.Helper()
	c, err := NewChain(bytes.Repeat([]byte{secret}, 32), project)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// chained seals n records from the sequence on.
func chained(t testing.TB, c *Chain, from uint64, n int) []stored {
	t.Helper()
	var all []stored
	var last []byte
	for i := range n {
		r := Record{
			Time: time.Unix(int64(1000+i), 0).UTC(), Kind: Change, Node: "n1", Actor: Actor{Issuer: "i", Subject: fmt.Sprintf("user<%d>", i%3)},
			Source: "192.0.2.1", Action: "createQueue", Object: Object{Queue: fmt.Sprint(i)}, Status: 201, RequestID: fmt.Sprintf("request-%d", i),
		}
		data, hash, err := c.Seal(from+uint64(i), last, r)
		if err != nil {
			t.Fatal(err)
		}
		all, last = append(all, stored{from + uint64(i), data}), hash
	}
	return all
}

func check(c *Chain, all []stored, first, last uint64) Report {
	v := c.Verify()
	for _, s := range all {
		if v.Next(s.sequence, s.data) != nil {
			break
		}
	}
	return v.Report(first, last)
}

func TestAChainThatNobodyTouchedHolds(t *testing.T) {
	c := newChain(t, 1)
	all := chained(t, c, 1, 30)
	got := check(c, all, 1, 30)
	want := Report{First: 1, Last: 30, Records: 30, From: time.Unix(1000, 0).UTC(), To: time.Unix(1029, 0).UTC(), Head: got.Head}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Head) != 32 {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	// The front may go by age.
	if got := check(c, all[10:], 11, 30); got.Broken != nil || got.First != 11 || got.Records != 20 {
		t.Errorf("without its front: %+v", got)
	}
	if got := check(c, nil, 31, 30); got.Broken != nil || got.Records != 0 {
		t.Errorf("when all are gone by age: %+v", got)
	}
	if got := check(c, nil, 1, 0); got.Broken != nil {
		t.Errorf("when there never was one: %+v", got)
	}
	// Decoding gives what was sealed.
	e, _, err := c.Open(1, all[0].data)
	if err != nil || e.Record.Actor.Subject != "user<0>" || e.Record.RequestID != "request-0" {
		t.Errorf("opened %+v, %v", e, err)
	}
}

// TestTamperingIsFound changes, removes, repeats, moves and forges records, a thousand
// times, and expects every one to be found.
func TestTamperingIsFound(t *testing.T) {
	const seed, trials = 7, 1000
	random := rand.New(rand.NewPCG(seed, 0))
	c, forger := newChain(t, 1), newChain(t, 2)
	whole := chained(t, c, 1, 40)
	forged := chained(t, forger, 1, 40)
	other, err := NewChain(bytes.Repeat([]byte{1}, 32), "f123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	foreign := chained(t, other, 1, 40)
	kinds := map[string]func(all []stored, at int) []stored{
		"a changed bit": func(all []stored, at int) []stored {
			all[at].data[random.IntN(len(all[at].data))] ^= 1 << random.IntN(8)
			return all
		},
		"a removed byte": func(all []stored, at int) []stored {
			i := random.IntN(len(all[at].data))
			all[at].data = slices.Delete(all[at].data, i, i+1)
			return all
		},
		"an added byte": func(all []stored, at int) []stored {
			all[at].data = slices.Insert(all[at].data, random.IntN(len(all[at].data)+1), byte(random.IntN(256)))
			return all
		},
		"a removed record": func(all []stored, at int) []stored { return slices.Delete(all, at, at+1) },
		"a removed end":    func(all []stored, at int) []stored { return all[:at] },
		"two exchanged": func(all []stored, at int) []stored {
			other := (at + 1 + random.IntN(len(all)-1)) % len(all)
			all[at].data, all[other].data = all[other].data, all[at].data
			return all
		},
		"two in another order": func(all []stored, at int) []stored {
			other := (at + 1 + random.IntN(len(all)-1)) % len(all)
			all[at], all[other] = all[other], all[at]
			return all
		},
		"one in the place of another": func(all []stored, at int) []stored {
			all[at].data = all[(at+1+random.IntN(len(all)-1))%len(all)].data
			return all
		},
		"removed, and the rest moved up": func(all []stored, at int) []stored {
			for i := at; i+1 < len(all); i++ {
				all[i].data = all[i+1].data
			}
			return all[:len(all)-1]
		},
		"sealed with another key": func(all []stored, at int) []stored { all[at].data = forged[at].data; return all },
		"of another project":      func(all []stored, at int) []stored { all[at].data = foreign[at].data; return all },
		"written by hand":         func(all []stored, at int) []stored { all[at].data = []byte(`{}`); return all },
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range kinds {
			if !yield(name) {
				return
			}
		}
	})
	for i := range trials {
		name := names[i%len(names)]
		all := make([]stored, len(whole))
		for j, s := range whole {
			all[j] = stored{s.sequence, bytes.Clone(s.data)}
		}
		at := random.IntN(len(all))
		all = kinds[name](all, at)
		if got := check(c, all, 1, 40); got.Broken == nil {
			t.Errorf("trial %d (seed %d): %s at %d is not found", i, seed, name, at+1)
		}
	}
	if got := check(forger, whole, 1, 40); got.Broken == nil {
		t.Error("a chain holds under another key")
	}
}

func TestABreakSaysWhere(t *testing.T) {
	c := newChain(t, 1)
	all := chained(t, c, 1, 5)
	v := c.Verify()
	for _, s := range all[:2] {
		if err := v.Next(s.sequence, s.data); err != nil {
			t.Fatal(err)
		}
	}
	var b *Break
	if err := v.Next(4, all[3].data); !errors.As(err, &b) || b.Sequence != 3 {
		t.Errorf("a missing record: %v", err)
	}
	if got := v.Report(1, 5); got.Broken == nil || got.Broken.Sequence != 3 || got.Last != 2 {
		t.Errorf("report: %+v", got)
	}
}

func FuzzOpenTakesOnlyWhatWasSealed(f *testing.F) {
	c, err := NewChain(bytes.Repeat([]byte{1}, 32), project)
	if err != nil {
		f.Fatal(err)
	}
	data, _, err := c.Seal(3, nil, Record{Kind: Use, Counts: []Count{{Action: "sendMessages", Calls: 2}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"record":{},"previous":"","hash":""}`))
	f.Fuzz(func(t *testing.T, got []byte) {
		if _, _, err := c.Open(3, got); (err == nil) != bytes.Equal(got, data) {
			t.Errorf("%q: %v", got, err)
		}
	})
}
