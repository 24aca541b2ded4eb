package mapping

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func leaseOf(seqs ...uint64) lease {
	return lease{Batch: "b", Node: "n", AckWait: dms.DefaultAckWait, Seqs: seqs}
}

func TestACursorGoesOnAsItIsTold(t *testing.T) {
	type step = func(*cursor)
	grant := func(seqs ...uint64) step { return func(c *cursor) { c.grant(leaseOf(seqs...), time.UnixMilli(0)) } }
	settle := func(n int) step { return func(c *cursor) { c.settle(n) } }
	fail, release, bury := func(c *cursor) { c.fail("") }, (*cursor).release, (*cursor).bury
	with := func(c cursor, seqs ...uint64) cursor {
		l := leaseOf(seqs...)
		c.Lease = &l
		return c
	}
	for name, row := range map[string]struct {
		steps []step
		want  cursor
	}{
		"granted":                       {[]step{grant(1, 2, 3)}, with(cursor{Floor: 0, Head: 1}, 1, 2, 3)},
		"granted behind expired ones":   {[]step{grant(8, 9)}, with(cursor{Floor: 7, Head: 8}, 8, 9)},
		"nothing settled":               {[]step{grant(1, 2), settle(0)}, with(cursor{Head: 1}, 1, 2)},
		"some settled":                  {[]step{grant(1, 2, 5), settle(2)}, with(cursor{Floor: 2}, 5)},
		"all settled":                   {[]step{grant(1, 2, 5), settle(3)}, cursor{Floor: 5}},
		"settled one after another":     {[]step{grant(1, 2, 5), settle(1), settle(1), settle(1)}, cursor{Floor: 5}},
		"failed":                        {[]step{grant(1, 2), fail}, cursor{Head: 1, Failures: 1}},
		"failed and granted":            {[]step{grant(1, 2), fail, grant(1)}, with(cursor{Head: 1, Failures: 1}, 1)},
		"failed three times":            {[]step{grant(1), fail, grant(1, 2), fail, grant(1), fail}, cursor{Head: 1, Failures: 3}},
		"settled, then failed":          {[]step{grant(1, 3, 4), settle(1), fail}, cursor{Floor: 1, Head: 3, Failures: 1}},
		"failures end by settling":      {[]step{grant(1, 2), fail, grant(1, 2), settle(1)}, with(cursor{Floor: 1}, 2)},
		"the next starts from none":     {[]step{grant(1), fail, grant(1), settle(1), grant(2), fail}, cursor{Floor: 1, Head: 2, Failures: 1}},
		"failures end by expiry":        {[]step{grant(1, 2), fail, grant(2)}, with(cursor{Floor: 1, Head: 2}, 2)},
		"released":                      {[]step{grant(1, 2), release}, cursor{Head: 1}},
		"released keeps the failures":   {[]step{grant(1), fail, grant(1), release}, cursor{Head: 1, Failures: 1}},
		"settled, then released":        {[]step{grant(1, 2), settle(1), release}, cursor{Floor: 1}},
		"buried":                        {[]step{grant(4, 5), fail, bury}, cursor{Floor: 4}},
		"buried after one was settled":  {[]step{grant(4, 6), settle(1), fail, bury}, cursor{Floor: 6}},
		"buried, the next has no blame": {[]step{grant(4), fail, bury, grant(5)}, with(cursor{Floor: 4, Head: 5}, 5)},
	} {
		t.Run(name, func(t *testing.T) {
			var c cursor
			for _, s := range row.steps {
				s(&c)
			}
			if d := cmp.Diff(row.want, c); d != "" {
				t.Errorf("cursor (-want +got):\n%s", d)
			}
		})
	}
}

func TestCursorsAreStoredAsTheyWere(t *testing.T) {
	// Spelled out, since records of this form are on disk.
	for want, c := range map[string]cursor{
		`{"floor":0}`:                       {},
		`{"floor":7,"head":8,"failures":2}`: {Floor: 7, Head: 8, Failures: 2},
		`{"floor":7,"lease":{"batch":"ab","node":"cd","ack_wait":30000000000,"seqs":[8,18446744073709551615]}}`: {
			Floor: 7, Lease: &lease{Batch: "ab", Node: "cd", AckWait: 30 * time.Second, Seqs: []uint64{8, 1<<64 - 1}},
		},
	} {
		if got := string(mustJSON(c)); got != want {
			t.Errorf("stored as %s, want %s", got, want)
		}
		var back cursor
		if err := json.Unmarshal([]byte(want), &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Errorf("%s (-want +got):\n%s", want, d)
		}
	}
}

// backlog is a group's messages as a plain list: what a cursor says in a few numbers.
type backlog struct {
	last     uint64         // newest sequence in the store
	waiting  []uint64       // for the group and not settled, oldest first
	leased   int            // of these, how many are handed out, from the front
	failures map[uint64]int // by sequence
}

func (b *backlog) drop(n int) { b.waiting = b.waiting[n:] }

// step does something to the list and the same to the cursor, and says what.
func (b *backlog) step(rnd *rand.Rand, c *cursor) string {
	const limit = 3
	switch {
	case rnd.IntN(4) == 0: // messages come, some of them not for the group
		for range 1 + rnd.IntN(4) {
			if b.last++; rnd.IntN(3) > 0 {
				b.waiting = append(b.waiting, b.last)
			}
		}
		return fmt.Sprintf("arrive up to %d", b.last)
	case rnd.IntN(12) == 0 && len(b.waiting) > b.leased && b.leased == 0: // the oldest expires
		seq := b.waiting[0]
		b.drop(1)
		return fmt.Sprintf("expire %d", seq)
	case b.leased > 0 && rnd.IntN(2) == 0:
		n := rnd.IntN(b.leased + 1)
		c.settle(n)
		b.drop(n)
		b.leased -= n
		return fmt.Sprintf("settle %d", n)
	case b.leased > 0 && rnd.IntN(2) == 0:
		c.release()
		b.leased = 0
		return "release"
	case b.leased > 0:
		b.failures[b.waiting[0]]++
		c.fail("")
		b.leased = 0
		return fmt.Sprintf("fail %d", b.waiting[0])
	case c.Head != 0 && c.Failures >= limit: // as a poll does before it reads
		head := c.Head
		c.bury()
		if len(b.waiting) > 0 && b.waiting[0] == head {
			if b.failures[head] < limit {
				return fmt.Sprintf("bury %d too early", head)
			}
			b.drop(1)
		}
		return fmt.Sprintf("bury %d", head)
	case len(b.waiting) > 0:
		b.leased = 1 + rnd.IntN(min(len(b.waiting), dms.MaxBatch))
		c.grant(leaseOf(slices.Clone(b.waiting[:b.leased])...), time.UnixMilli(0))
		return fmt.Sprintf("grant %d", b.leased)
	}
	return "nothing"
}

func TestACursorAgreesWithAListOfMessages(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		b := backlog{failures: make(map[uint64]int)}
		var c cursor
		var story []string
		for range 200 {
			before, stored := c, string(mustJSON(c))
			next := c.clone()
			story = append(story, b.step(rnd, &next))
			if got := string(mustJSON(before)); got != stored {
				t.Fatalf("seed %d: changing a clone changed the original from %s to %s after %q", seed, stored, got, story)
			}
			if next.Floor < before.Floor || next.Floor > b.last {
				t.Fatalf("seed %d: floor went from %d to %d of %d after %q", seed, before.Floor, next.Floor, b.last, story)
			}
			// The next reader knows what was stored and nothing else.
			c = cursor{}
			if err := json.Unmarshal(mustJSON(next), &c); err != nil {
				t.Fatal(err)
			}
			var leased []uint64
			if c.Lease != nil {
				leased = c.Lease.Seqs
			}
			if !slices.Equal(leased, b.waiting[:b.leased]) {
				t.Fatalf("seed %d: outstanding are %v, want %v after %q", seed, leased, b.waiting[:b.leased], story)
			}
			if len(b.waiting) > 0 && c.Floor >= b.waiting[0] {
				t.Fatalf("seed %d: floor %d hides %d after %q", seed, c.Floor, b.waiting[0], story)
			}
			for i, seq := range b.waiting {
				got, want := c.failuresOf(seq), b.failures[seq]
				if got != want || i > 0 && got != 0 {
					t.Fatalf("seed %d: message %d, at place %d, has failed %d times, want %d after %q", seed, seq, i, got, want, story)
				}
			}
		}
		for len(b.waiting) > 0 { // settled in the end, none was lost from sight
			if b.leased == 0 {
				b.leased = len(b.waiting)
				c.grant(leaseOf(b.waiting...), time.UnixMilli(0))
			}
			c.settle(b.leased)
			b.drop(b.leased)
			b.leased = 0
		}
		if c.Lease != nil || c.Floor > b.last {
			t.Fatalf("seed %d: all settled, and the cursor is %+v", seed, c)
		}
	}
}
