package deploy_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/tenancy"
)

// smallDisk makes a file system of so many bytes and mounts it until the test ends.
func smallDisk(t *testing.T, size int64) (dir string) {
	t.Helper()
	base := t.TempDir()
	image, dir := filepath.Join(base, "image"), filepath.Join(base, "disk")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// fillDisk lets another program, so to say, take all of a disk but so many bytes.
func fillDisk(t *testing.T, dir string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for step := int64(8 << 20); step >= 4096; step /= 2 {
		for {
			var fs syscall.Statfs_t
			if err := syscall.Statfs(dir, &fs); err != nil {
				t.Fatal(err)
			}
			if int64(fs.Bavail)*fs.Bsize-step < leave {
				break
			}
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Fallocate(int(f.Fd()), 0, info.Size(), step); err != nil {
				break // as full as it gets in steps of this size
			}
		}
	}
}

func freeDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
}

// A disk that fills refuses what stores, and nothing else, and recovers by itself; one
// that is full all the same takes its node out until there is room.
func TestFullDisksRefuseSendsAndRecover(t *testing.T) {
	if os.Getenv("DMS_CI_ROOT") != "1" {
		t.Log("not run: it mounts file systems, which needs root")
		return
	}
	const disk, keep = 320 << 20, 64 << 20
	var disks [deploytest.Size]string
	for i := range disks {
		disks[i] = smallDisk(t, disk)
	}
	c := deploytest.Start(t, func(o *deploy.Config) {
		for i := range disks {
			if o.Node == fmt.Sprintf("n%d", i+1) {
				o.DataFolder = filepath.Join(disks[i], "data")
			}
		}
		o.Disk.KeepFree, o.Disk.Reserve = keep, 8<<20
	})
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	stored := 0
	try := func(i int) int {
		status := via(i).send(queue, stored)
		if status == http.StatusCreated {
			stored++
		}
		return status
	}
	answers := func(i, want int) {
		t.Helper()
		waitWithin(t, recovery, fmt.Sprintf("node %d to answer sends with %d", i, want), func() (string, bool) {
			got := try(i)
			return fmt.Sprintf("%d, %+v", got, clusterState(t, c, i)), got == want
		})
	}
	for range 40 {
		answers(0, http.StatusCreated)
	}
	seen := make(map[int]int)
	consume := func(i int) {
		t.Helper()
		for n := range drain(t, via(i), group, 1) {
			seen[n]++
		}
	}

	// One disk: its node refuses, the others go on.
	fillDisk(t, disks[2], keep/2)
	answers(2, http.StatusServiceUnavailable)
	answers(0, http.StatusCreated)
	consume(2)
	// All disks: nobody stores, everybody consumes.
	fillDisk(t, disks[0], keep/2)
	fillDisk(t, disks[1], keep/2)
	for i := range disks {
		answers(i, http.StatusServiceUnavailable)
		consume(i)
		if status, body := readyz(t, c, i); status != http.StatusOK {
			t.Errorf("node %d is not ready though it serves consumers: %d %s", i, status, body)
		}
	}
	if s := clusterState(t, c, 0); s.Stores || !strings.Contains(s.Verdict, "nearly full") {
		t.Errorf("with full disks: %+v", s)
	}
	for i := range disks {
		freeDisk(t, disks[i])
	}
	for i := range disks {
		answers(i, http.StatusCreated)
	}
	for _, n := range clusterState(t, c, 0).Nodes {
		if n.Members[0].Restarts != 0 || n.Disk.Reserve == 0 {
			t.Errorf("after the disks were full: %+v", n)
		}
	}

	// One disk to the last byte: the reserve is taken, too, and the node's storage fails.
	stop := make(chan struct{})
	var load sync.WaitGroup
	sender := via(0)
	var other created
	sender.must(201, "POST", "/queues", `{"name":"others"}`, &other)
	pad := strings.Repeat("x", 100_000)
	load.Go(func() { // ends through stop
		for {
			select {
			case <-stop:
				return
			default:
				sender.do("POST", "/queues/"+other.ID+"/messages", `{"messages":[{"body":"`+pad+`"}]}`, nil)
			}
		}
	})
	waitWithin(t, recovery, "the node with the full disk to be out", func() (string, bool) {
		fillDisk(t, disks[2], 0)
		status, body := readyz(t, c, 2)
		return fmt.Sprintf("%d %s", status, body), status == http.StatusServiceUnavailable
	})
	close(stop)
	load.Wait()
	answers(0, http.StatusCreated)
	freeDisk(t, disks[2])
	waitWithin(t, recovery, "the node to be ready again", func() (string, bool) {
		status, body := readyz(t, c, 2)
		return fmt.Sprintf("%d %s, %+v", status, body, clusterState(t, c, 0)), status == http.StatusOK
	})
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	answers(2, http.StatusCreated)
	for n := range drain(t, via(2), group, stored-len(seen)) {
		seen[n]++
	}
	for n := range stored {
		if seen[n] == 0 {
			t.Errorf("message %d of %d is lost", n, stored)
		}
	}
}
