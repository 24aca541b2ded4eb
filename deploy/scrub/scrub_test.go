package scrub

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const streamName = "q_1"

// appendRecord appends one record to the block of a number as the server writes it.
func appendRecord(block []byte, number, seq uint64, subject, headers, payload string) []byte {
	check, err := checksums(streamName, number)
	if err != nil {
		panic(err)
	}
	begin := len(block)
	length := uint32(headLength + len(subject) + len(payload) + tailLength)
	if headers != "" {
		length = (length + 4 + uint32(len(headers))) | withHeaders
	}
	block = binary.LittleEndian.AppendUint32(block, length)
	block = binary.LittleEndian.AppendUint64(block, seq)
	block = binary.LittleEndian.AppendUint64(block, 1e18+seq)
	block = binary.LittleEndian.AppendUint16(block, uint16(len(subject)))
	block = append(block, subject...)
	if headers != "" {
		block = binary.LittleEndian.AppendUint32(block, uint32(len(headers)))
		block = append(block, headers...)
	}
	block = append(block, payload...)
	check.Write(block[begin+4 : begin+20])
	check.Write([]byte(subject + headers + payload))
	return check.Sum(block)
}

// blocks writes the messages from first to last into files of so many each.
func blocks(t *testing.T, first, last uint64, each int) string {
	t.Helper()
	dir := t.TempDir()
	writeBlocks(t, dir, first, last, each)
	return dir
}

func writeBlocks(t *testing.T, dir string, first, last uint64, each int) {
	t.Helper()
	var data []byte
	n, held := 1, 0
	flush := func() {
		name := filepath.Join(dir, strings.Replace("N.blk", "N", string(rune('0'+n)), 1))
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		data, held, n = nil, 0, n+1
	}
	for seq := first; seq <= last; seq++ {
		data = appendRecord(data, uint64(n), seq, "q.a.~.~.~", "h: v", strings.Repeat("x", int(seq%7)))
		if held++; held == each {
			flush()
		}
	}
	if held > 0 {
		flush()
	}
}

func sumsOf(t *testing.T, dir string, first, last uint64) []Sum {
	t.Helper()
	all, err := readSums(t.Context(), streamName, dir, first, last, &pace{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReplicasHaveTheSameSumsHoweverTheirFilesAreCut(t *testing.T) {
	one := sumsOf(t, blocks(t, 1, 10_000, 20_000), 1, 10_000)
	if len(one) != 3 || one[0].From != 1 || one[0].To != 4095 || one[2].To != 10_000 {
		t.Fatalf("10,000 messages have the sums %+v", one)
	}
	if diff := cmp.Diff(one, sumsOf(t, blocks(t, 1, 10_000, 3000), 1, 10_000)); diff != "" {
		t.Errorf("in other files (-one +other):\n%s", diff)
	}
	// What expires changes the first range only.
	later := sumsOf(t, blocks(t, 1, 10_000, 3000), 4000, 10_000)
	if diff := cmp.Diff(one[1:], later[1:]); diff != "" || later[0].From != 4000 || later[0].Bad != "" {
		t.Errorf("after expiry %+v (-one +later):\n%s", later, diff)
	}
	if got := differ(later, [][]Sum{one, one}); got != "" {
		t.Errorf("expiry is taken for damage: %s", got)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	const last = 300
	good := sumsOf(t, blocks(t, 1, last, 100), 1, last)
	dir := blocks(t, 1, last, 100)
	path := filepath.Join(dir, "2.blk")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 13 {
		for bit := range 8 {
			damaged := append([]byte(nil), data...)
			damaged[at] ^= 1 << bit
			s := summing{first: 1, hash: sha256.New()}
			feed(t, &s, dir, damaged)
			if s.reached < last {
				s.open(s.reached + 1)
				s.bad("the files end early")
			}
			s.close()
			if differ(s.all, [][]Sum{good, good}) == "" {
				t.Fatalf("bit %d of byte %d is flipped, and the sums are %+v, as before %+v", bit, at, s.all, good)
			}
		}
	}
}

// feed goes through the three blocks, the second of which is given.
func feed(t *testing.T, s *summing, dir string, second []byte) {
	t.Helper()
	for i, name := range []string{"1.blk", "", "3.blk"} {
		data := second
		check, err := checksums(streamName, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			if data, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		end, cut := lastRecord(data, check)
		s.data(data[:end])
		if cut != nil {
			s.open(s.reached + 1)
			s.bad(cut.Error())
		}
	}
}

func TestMissingAndCutFilesAreFound(t *testing.T) {
	const last = 300
	good := sumsOf(t, blocks(t, 1, last, 100), 1, last)
	for name, damage := range map[string]func(string) error{
		"the first is gone":   func(dir string) error { return os.Remove(filepath.Join(dir, "1.blk")) },
		"a middle one":        func(dir string) error { return os.Remove(filepath.Join(dir, "2.blk")) },
		"the newest":          func(dir string) error { return os.Remove(filepath.Join(dir, "3.blk")) },
		"a middle one is cut": func(dir string) error { return os.Truncate(filepath.Join(dir, "2.blk"), 1000) },
		"the newest is cut":   func(dir string) error { return os.Truncate(filepath.Join(dir, "3.blk"), 1000) },
		"all are gone":        os.RemoveAll,
	} {
		dir := blocks(t, 1, last, 100)
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if differ(sumsOf(t, dir, 1, last), [][]Sum{good, good}) == "" {
			t.Errorf("%s: nobody notices", name)
		}
	}
}

func TestAReplicaIsJudgedOnlyByTwoThatAgree(t *testing.T) {
	a, b, c := Sum{From: 1, To: 9, Sum: 1}, Sum{From: 1, To: 9, Sum: 2}, Sum{From: 1, To: 9, Sum: 3}
	short, bad := Sum{From: 1, To: 8, Sum: 4}, Sum{From: 1, To: 1, Bad: "cut"}
	for i, c := range []struct {
		own, one, two Sum
		wrong         bool
	}{
		{a, a, a, false}, {a, b, b, true}, {a, a, b, false}, {a, b, c, false}, {a, b, a, false},
		{short, a, a, false}, {a, short, short, false}, {bad, a, a, true}, {bad, a, bad, false}, {bad, bad, bad, false}, {bad, a, short, true},
	} {
		if got := differ([]Sum{c.own}, [][]Sum{{c.one}, {c.two}}) != ""; got != c.wrong {
			t.Errorf("case %d: wrong is %v, want %v", i, got, c.wrong)
		}
	}
	if differ([]Sum{a}, [][]Sum{{b}, {}}) != "" {
		t.Error("a replica is judged by one other")
	}
}

func TestCountsAreComparedAtTheSameSequences(t *testing.T) {
	r := func(first, last, n, bytes uint64) Replica {
		return Replica{First: first, Last: last, Messages: n, Bytes: bytes, Whole: true}
	}
	loose := func(r Replica) Replica { r.Whole = false; return r }
	remade := func(r Replica) Replica { r.Made = 1; return r }
	for i, c := range []struct {
		own, one, two Replica
		looks         int
	}{
		{r(1, 10, 10, 100), r(1, 10, 10, 100), r(1, 10, 10, 100), 0},
		// A hole counts whatever moves on.
		{r(1, 10, 7, 70), r(1, 12, 12, 120), r(1, 11, 11, 110), 2},
		{r(1, 10, 7, 70), r(1, 12, 12, 120), r(1, 11, 10, 110), 0},
		{loose(r(1, 10, 7, 70)), r(1, 12, 12, 120), r(1, 11, 11, 110), 0},
		{loose(r(1, 10, 7, 70)), r(1, 10, 8, 80), r(1, 10, 8, 80), 3},
		{loose(r(1, 10, 7, 70)), r(1, 10, 7, 80), r(1, 10, 7, 80), 0},
		{r(1, 10, 10, 99), r(1, 10, 10, 100), r(1, 10, 10, 100), 3},
		{r(1, 10, 10, 99), r(1, 10, 10, 100), r(1, 10, 10, 99), 0},
		{r(1, 9, 9, 90), r(1, 10, 10, 100), r(1, 10, 10, 100), 0},
		{r(2, 10, 9, 90), r(1, 10, 10, 100), r(1, 10, 10, 100), 0},
		{r(1, 10, 7, 70), remade(r(1, 10, 10, 100)), r(1, 10, 10, 100), 0},
		{r(0, 0, 0, 0), r(0, 0, 0, 0), r(0, 0, 0, 0), 0},
		{r(11, 10, 0, 0), r(11, 10, 0, 0), r(11, 10, 0, 0), 0},
	} {
		got, _ := suspect(c.own, []Replica{c.one, c.two}, time.Now(), time.Minute)
		if got.looks != c.looks || got.lasting != (c.looks == 3 && !c.own.Whole) {
			t.Errorf("case %d: %+v, want %d looks", i, got, c.looks)
		}
	}
}

func TestAFrontIsMissedOnlyWhenItHasNotExpired(t *testing.T) {
	now := time.Now()
	r := func(first uint64, age time.Duration) Replica {
		return Replica{First: first, Last: 10, Messages: 11 - first, Whole: true, FirstAt: now.Add(-age).UnixNano(), Keep: time.Hour}
	}
	empty := Replica{First: 11, Last: 10, Whole: true, Keep: time.Hour}
	for i, c := range []struct {
		own, one, two Replica
		wrong         bool
	}{
		{r(5, 0), r(1, 10*time.Minute), r(1, 10*time.Minute), true},
		{empty, r(1, 10*time.Minute), r(1, 10*time.Minute), true},
		{r(5, 0), r(1, 10*time.Minute), r(2, 9*time.Minute), true},
		{r(5, 0), r(1, 10*time.Minute), r(5, 0), false},
		{r(5, 0), r(1, 10*time.Minute), r(6, 0), false},
		{r(1, 10*time.Minute), r(5, 0), r(5, 0), false},
		// About to expire, by a clock that is a little late, or expired there already.
		{r(5, 0), r(1, 59*time.Minute+30*time.Second), r(1, 59*time.Minute+30*time.Second), false},
		{r(5, 0), r(1, 2*time.Hour), r(1, 2*time.Hour), false},
		{r(5, 0), empty, empty, false},
	} {
		got, wrong := suspect(c.own, []Replica{c.one, c.two}, now, time.Minute)
		if wrong != c.wrong {
			t.Errorf("case %d: %+v, want %v", i, got, c.wrong)
		}
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readSums(ctx, streamName, blocks(t, 1, 10, 100), 1, 10, &pace{bytesPerSecond: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("reading ends with %v", err)
	}
}

func FuzzRecordsNeverLeaveTheBlock(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, 1, 1, "q.a", "", "x"), 1, 2, "q.b", "h: v", "y"))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, block []byte) {
		check, err := checksums(streamName, 1)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(block); {
			r, err := recordAt(block, at, check)
			if err != nil {
				if !errors.Is(err, errCut) && !errors.Is(err, errDamaged) {
					t.Fatal(err)
				}
				return
			}
			if r.next <= at || r.next > len(block) {
				t.Fatalf("the record at %d of %d ends at %d", at, len(block), r.next)
			}
			at = r.next
		}
		end, cut := lastRecord(block, check)
		if cut == nil && end != len(block) {
			t.Fatalf("%d of %d bytes are records", end, len(block))
		}
	})
}
