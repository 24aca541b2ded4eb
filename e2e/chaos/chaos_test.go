package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	shortDisk = 2 << 30 // bytes, sparse
	// leastStored is below what any working service stores in a short run: one with less
	// proves nothing.
	leastStored = 2000
)

// newSeed takes the seed of the command line, or a new one.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64() >> 1 // reads well in a table
	}
	t.Logf("seed %d", s)
	return s
}

// Acknowledged messages survive the kill of a leader, a power cut of all nodes and a
// flipped bit of one replica.
func TestAcknowledgedMessagesSurvive(t *testing.T) {
	if notRun(t) || *loadFor > 0 {
		return
	}
	t.Parallel()
	s, dir := newSeed(t), folder(t)
	c, err := newCluster(t, clusterOptions{number: 1, build: shipped, disk: shortDisk, logs: dir})
	if err != nil {
		t.Fatal(err)
	}
	deck, err := named("N02", "N06", "N16")
	if err != nil {
		t.Fatal(err)
	}
	playShort(t, c, round{seed: s, deck: deck, victim: int(s % size), file: filepath.Join(dir, "short.jsonl")})
}

// playShort plays a short round and judges it.
func playShort(t *testing.T, c *cluster, r round) {
	t.Helper()
	r.rate, r.section = 150, 20*time.Second
	p, err := c.play(t.Context(), r, t.Logf)
	if err != nil {
		t.Fatalf("repeat with -chaos.seed=%d: %v", r.seed, err)
	}
	sum := newTally(r.seed, time.Minute, "")
	if err := sum.add(p); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v\n%v", p.Outcome, sum)
	if !sum.ok() {
		t.Errorf("this is not a correct service; repeat with -chaos.seed=%d", r.seed)
	}
	if p.Stored < leastStored || p.Settled < leastStored {
		t.Errorf("void: %d messages were stored and %d settled, which proves nothing; want %d", p.Stored, p.Settled, leastStored)
	}
}

// A storage that does not end, as the engine's when it waits for itself, costs a process
// and nothing else.
func TestANodeWhoseStorageDoesNotEndStartsItselfAgain(t *testing.T) {
	if notRun(t) || *loadFor > 0 {
		return
	}
	s, dir := newSeed(t), folder(t)
	c, err := newCluster(t, clusterOptions{number: 5, build: shipped, disk: shortDisk, logs: dir})
	if err != nil {
		t.Fatal(err)
	}
	deck := []fault{{name: "stuck", title: "a storage that does not end", strike: stick}}
	playShort(t, c, round{seed: s, deck: deck, file: filepath.Join(dir, "stuck.jsonl")})
}

// A long run is made by make chaos.
func TestChaos(t *testing.T) {
	if notRun(t) || *loadFor == 0 {
		t.Log("not run: -chaos.for is not given")
		return
	}
	s, dir := newSeed(t), folder(t)
	all := faults()
	if *only != "" {
		var err error
		if all, err = named(strings.Split(*only, ",")...); err != nil {
			t.Fatal(err)
		}
	}
	b, err := builtFrom(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(t, clusterOptions{number: 1, build: shipped, disk: *diskSize, logs: dir})
	if err != nil {
		t.Fatal(err)
	}
	sum := newTally(s, *loadFor, flags())
	defer func() { t.Logf("\n%v", sum) }()
	end := time.Now().Add(*loadFor)
	for number := 1; time.Now().Before(end); number++ {
		r := round{
			number: number, seed: s + uint64(number), rate: *rate, section: *section, until: earlier(end, time.Now().Add(roundLimit)),
			victim: int(s % size), file: filepath.Join(dir, fmt.Sprintf("round%d.jsonl", number)),
		}
		rng := rand.New(rand.NewPCG(r.seed, 0))
		for time.Duration(len(r.deck))*r.section < roundLimit { // more than a round has time for
			r.deck = append(r.deck, shuffled(all, rng)...)
		}
		p, err := c.play(t.Context(), r, t.Logf)
		if err != nil {
			sum.Complaints = append(sum.Complaints, fmt.Sprintf("round %d: %v", number, err))
			if p != nil {
				sum.Strikes = append(sum.Strikes, p.Strikes...)
			}
			break
		}
		if err := sum.add(p); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d\n%v", number, p.Outcome)
		if *keep == "" || sum.ok() {
			if err := os.Remove(p.History); err != nil { // only what shows something is kept
				t.Error(err)
			}
		}
	}
	if !sum.ok() {
		t.Errorf("this is not a correct service; repeat with -chaos.seed=%d", s)
	}
	if *booked {
		if err := sum.book(ledgerFile, b, time.Now()); err != nil {
			t.Error(err)
		}
	}
}

// roundLimit is when a round begins no further fault: a history must fit into memory.
const roundLimit = 5 * time.Minute

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
