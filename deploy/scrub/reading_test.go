package scrub

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// damagedStore has the 100 messages of a stream, in one of which a bit is flipped that
// nobody has read since.
func damagedStore(t *testing.T) string {
	t.Helper()
	store := t.TempDir()
	dir := filepath.Join(StreamFolder(store, ours), "msgs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeBlocks(t, dir, 1, 100, 60)
	path := filepath.Join(dir, "1.blk")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return store
}

func TestDamageIsFoundRightAfterTheStart(t *testing.T) {
	good := sumsOf(t, blocks(t, 1, 100, 60), 1, 100)
	unreadable := []Sum{{From: 1, To: 1, Bad: "it cannot be read"}}
	for name, c := range map[string]struct {
		theirs []Sum
		want   []string
	}{
		"the others can read theirs": {good, []string{Repaired}},
		"nor can the others":         {unreadable, nil},
		"the others do not answer":   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store := damagedStore(t)
			synctest.Test(t, func(t *testing.T) {
				g := &stage{store: store, own: []Replica{leading(whole(1, 100))}, others: []Words{says(whole(1, 100)), says(whole(1, 100))}}
				g.asked = func(k Key) {
					if k != ours {
						t.Errorf("the others are to read %+v", k)
					}
					for i := range g.others {
						g.others[i].Sums = c.theirs
					}
					g.others[0].Replicas[0].Led = true // once this node has given it up
				}
				s := g.start(t)
				pass(30 * time.Second)
				removals, asides := g.counts()
				if diff := cmp.Diff(c.want, states(s)); diff != "" || removals != len(c.want) || (asides > 0) != (len(c.want) > 0) {
					t.Errorf("removed %d times, set aside %d times, findings (-want +got):\n%s", removals, asides, diff)
				}
			})
		})
	}
}

func TestAStreamIsReadWhenAnotherNodeWantsIt(t *testing.T) {
	store := t.TempDir()
	dir := filepath.Join(StreamFolder(store, ours), "msgs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g := &stage{store: store, own: []Replica{whole(1, 100)}, others: []Words{says(whole(1, 100)), says(leading(whole(1, 100)))}}
		s := g.start(t)
		pass(time.Minute)
		writeBlocks(t, dir, 1, 100, 60) // since it was read after the start
		if _, err := s.Words(&Question{Key: ours, Read: true}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w, err := s.Words(&Question{Key: ours})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sumsOf(t, dir, 1, 100), w.Sums); diff != "" {
			t.Errorf("sums (-want +got):\n%s", diff)
		}
	})
}

func TestWhatTheStorageCannotReadIsLookedInto(t *testing.T) {
	good := sumsOf(t, blocks(t, 1, 100, 60), 1, 100)
	for name, c := range map[string]struct {
		damaged, sealed bool
		want            []string
	}{
		"its files are whole":                 {false, false, nil},
		"its files are damaged":               {true, false, []string{Repaired}},
		"its files mean nothing to this node": {false, true, []string{Repaired}},
	} {
		t.Run(name, func(t *testing.T) {
			store := damagedStore(t)
			if !c.damaged {
				writeBlocks(t, filepath.Join(StreamFolder(store, ours), "msgs"), 1, 100, 60)
			}
			synctest.Test(t, func(t *testing.T) {
				g := &stage{store: store, late: true, sealed: c.sealed, own: []Replica{whole(1, 100)}, others: []Words{says(whole(1, 100)), says(leading(whole(1, 100)))}}
				for i := range g.others {
					g.others[i].Sums = good
				}
				s := g.start(t)
				pass(5 * time.Second)
				if got := states(s); len(got) > 0 {
					t.Fatalf("before anybody has said something it has found %v", got)
				}
				s.LookInto("q_other")
				s.LookInto(ours.Stream)
				pass(20 * time.Second)
				if diff := cmp.Diff(c.want, states(s)); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What is missing at the front of a stream is not missed in its files.
func TestAFrontThatIsMissingIsFoundRightAfterTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := func(r Replica) Replica { r.FirstAt = time.Now().UnixNano(); return r }
		g := &stage{own: []Replica{began(whole(50, 100))}, others: []Words{says(began(whole(1, 100))), says(leading(began(whole(1, 100))))}}
		g.remove = func() error { g.own[0] = began(whole(1, 100)); return nil }
		s := g.start(t)
		pass(15 * time.Second)
		if diff := cmp.Diff([]string{Repaired}, states(s)); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}
