package deploy_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dms/deploy"
	"dms/deploy/deploytest"
)

// readLate leaves damage alone that was done before a start: nothing is read for a day.
func readLate(c *deploy.Config) { c.Scrub.AtStart = 0 }

// firstBlock is the first file of a node's replica.
func firstBlock(t *testing.T, c *deploytest.Cluster, node int, stream string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.DataFolder(node), "member", "store", "jetstream", "*", "streams", stream, "msgs", "1.blk"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the first block is %v, %v", files, err)
	}
	return files[0]
}

// Places of a message's record whose damage is found when the file is read: a byte of its
// length, which ends the file for the server, of its sequence, high up, or of its subject,
// which spoils one message.
const (
	inLength   = 1
	inSequence = 11
	inSubject  = 30
	wholeFile  = -1 // nothing is left of the file
)

// damageMessage stops a node, flips a bit of a message of its replica, and starts the
// node again.
func damageMessage(t *testing.T, c *deploytest.Cluster, node int, stream string, message, place int) {
	t.Helper()
	c.Stop(t, node)
	path := firstBlock(t, c, node, stream)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if place == wholeFile {
		data = nil
	} else {
		at := 0
		for range message - 1 {
			at += int(binary.LittleEndian.Uint32(data[at:]) &^ (1 << 31))
		}
		data[at+place] ^= 1
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Restart(t, node)
	waitVerdict(t, c, node, "3 of 3, can lose 1")
}

// makeLead makes a node lead a stream and all of its consumers.
func makeLead(t *testing.T, c *deploytest.Cluster, node int, stream string, consumers int) {
	t.Helper()
	waitWithin(t, recovery, "the damaged replica to lead", func() (string, bool) {
		leads := 0
		for _, l := range c.Leads() {
			if l.Stream != stream {
				continue
			}
			if l.Member == c.Member(t, node) {
				leads++
			} else if err := l.StepDown(); err != nil {
				return err.Error(), false
			}
		}
		return fmt.Sprintf("it leads %d", leads), leads == 1+consumers
	})
}

func TestADamagedReplicaIsFoundAndRebuilt(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t, scrubOften)
	via := func(i int) *caller { return manager(t, c, i) }
	queue, group := makeQueue(via(0))
	const messages, early = 200, 30
	store(via(0), queue, 0, messages)
	settled := drain(t, via(1), group, early)
	// One bit of the replica that leads, which is the worst of the three.
	node, stream := leaderOf(t, c)
	f, err := os.OpenFile(firstBlock(t, c, node, stream), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	const at = 150 * 4100 // well behind what was consumed
	if _, err := f.ReadAt(one, at); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := f.WriteAt(one, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	other := (node + 1) % deploytest.Size
	waitWithin(t, recovery, "the replica to be rebuilt", func() (string, bool) {
		s := clusterState(t, c, other)
		for _, n := range s.Nodes {
			for _, f := range n.Findings {
				if f.Stream != stream || n.Name != fmt.Sprintf("n%d", node+1) {
					t.Fatalf("a replica that is well was suspected: %+v", f)
				}
				if f.State == "repaired" {
					return "", true
				}
			}
		}
		return fmt.Sprintf("%+v", s), false
	})
	waitVerdict(t, c, other, "3 of 3, can lose 1")
	// Nothing is lost, whoever reads it from wherever, and what was settled stays so.
	var g struct{ Groups []created }
	via(other).must(201, "POST", queue+"/groups", `{"groups":[{"name":"late","position":{"to":"begin"}}]}`, &g)
	c.Stop(t, other)
	all := drain(t, via(node), queue+"/groups/"+g.Groups[0].ID, messages)
	for n := range messages {
		if all[n] == 0 {
			t.Errorf("message %d is lost", n)
		}
	}
	for n := range drain(t, via(node), group, messages-len(settled)) {
		if settled[n] > 0 {
			t.Errorf("message %d comes to a group that had settled it", n)
		}
	}
}

// Between scrubs a reader is not fooled: what its log goes over comes all the same.
func TestAReaderIsNotFooledByADamagedReplica(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, c := range map[string]struct{ messages, size, damaged, place int }{
		"in the middle": {200, 4000, 100, inLength},
		// Enough for a second file, with which the damaged replica begins then.
		"at the front": {400, 40_000, 1, wholeFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := deploytest.Start(t, readLate)
			via := func(i int) *caller { return manager(t, cluster, i) }
			queue, group := makeQueue(via(0))
			storeSized(via(0), queue, 0, c.messages, c.size)
			settled := drain(t, via(0), group, 20)
			node, stream := leaderOf(t, cluster)
			damageMessage(t, cluster, node, stream, c.damaged, c.place)
			makeLead(t, cluster, node, stream, 1)
			got := drain(t, via(node), group, c.messages-len(settled))
			for n := range c.messages {
				if got[n]+settled[n] == 0 {
					t.Errorf("message %d does not come", n)
				}
			}
		})
	}
}

// Nor is one that waits for what it was given before: what the log cannot read any more
// comes all the same, whether the log takes it for removed or tries it again and again.
func TestWhatADamagedLeaderCannotDeliverAgainComes(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, place := range map[string]int{"taken for removed": inLength, "tried again": inSubject} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := deploytest.Start(t, readLate)
			via := func(i int) *caller { return manager(t, c, i) }
			queue, group := makeQueue(via(0))
			// Enough for a second file: what is missing at the end of the last one is fetched.
			const messages, open = 400, 10
			storeSized(via(0), queue, 0, messages, 40_000)
			node, stream := leaderOf(t, c)
			other := (node + 1) % deploytest.Size
			var held []struct{ Handler string } // and not acknowledged
			via(other).must(200, "GET", group+"/messages?max_msgs=10&ack_wait=45", "", &held)
			if len(held) != open {
				t.Fatalf("%d messages were handed out, want %d", len(held), open)
			}
			// All others are settled: nothing is delivered for the first time, which shows.
			settled := drain(t, via(other), group, messages-open)
			damageMessage(t, c, node, stream, 1+open/2, place)
			makeLead(t, c, node, stream, 1)
			got := drain(t, via(other), group, messages-len(settled))
			for n := range messages {
				if got[n]+settled[n] != 1 {
					t.Errorf("message %d was given %d times to who settles all", n, got[n]+settled[n])
				}
			}
		})
	}
}

// A replica that was damaged while its node was down does not get to lead, nor does it keep
// the node from starting.
func TestDamageOfANodeThatWasDownIsRepairedAtOnce(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, place := range map[string]int{"a subject": inSubject, "a sequence": inSequence} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := deploytest.Start(t) // compares once a minute, reads all once a day
			via := manager(t, c, 0)
			queue, _ := makeQueue(via)
			// Enough for a second file: what is missing at the end of the last one is fetched.
			storeSized(via, queue, 0, 400, 40_000)
			node, stream := leaderOf(t, c)
			damageMessage(t, c, node, stream, 100, place)
			other := (node + 1) % deploytest.Size
			waitWithin(t, recovery, "the replica to be rebuilt", func() (string, bool) {
				s := clusterState(t, c, other)
				for _, n := range s.Nodes {
					for _, f := range n.Findings {
						if f.Stream == stream && f.State == "repaired" && n.Name == fmt.Sprintf("n%d", node+1) {
							return "", true
						}
					}
				}
				return fmt.Sprintf("%+v", s), false
			})
		})
	}
}
