package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dms/deploy/deploytest"
	"dms/tenancy"
)

// After a power cut of all nodes none may hold what the snapshots of a stream's log say,
// since files were removed whose successors were not synced. No member could lead it then.
func TestAStreamThatNoMemberCouldLeadGoesOn(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	store(via(0), queue, 0, 50)
	drain(t, via(0), group, 50)
	c.StopAll(t)
	emptied := 0
	for i := range deploytest.Size {
		folders, err := filepath.Glob(filepath.Join(c.DataFolder(i), "member", "store", "jetstream", "*", "streams", "q_*", "msgs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			files, err := filepath.Glob(filepath.Join(folder, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			emptied++
		}
	}
	if emptied != deploytest.Size {
		t.Fatalf("%d replicas are emptied, want %d", emptied, deploytest.Size)
	}
	c.StartAll(t)
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	for i := range deploytest.Size {
		i := 1_000 + i
		waitWithin(t, recovery, "a send", func() (string, bool) {
			status := via(i%deploytest.Size).send(queue, i)
			return fmt.Sprintf("the answer is %d", status), status == 201
		})
	}
	for n, times := range drain(t, via(1), group, deploytest.Size) {
		if n < 1_000 || times != 1 {
			t.Errorf("message %d comes %d times", n, times)
		}
	}
}
