package deploy_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/deploy/engine"
	"dms/deploy/keys"
	"dms/tenancy"
)

// plainly counts the files below a folder that hold a text as it is.
func plainly(t *testing.T, dir, text string) (files, holding int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a node that runs replaces files
		}
		files++
		if bytes.Contains(data, []byte(text)) {
			holding++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, holding
}

func TestAnEncryptedStoreShowsNothingAndSurvivesACrashOfAll(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t, scrubOften, func(o *deploy.Config) { o.Disk.Encrypted = true })
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	const messages = 300
	store(via(0), queue, 0, messages)
	settled := drain(t, via(1), group, 20)
	for i := range deploytest.Size {
		c.Crash(t, i)
	}
	for i := range deploytest.Size {
		files, holding := plainly(t, filepath.Join(c.DataFolder(i), "member", "store"), strings.Repeat("x", 1000))
		if files == 0 || holding > 0 {
			t.Errorf("%d of %d files of node %d hold messages as they are", holding, files, i)
		}
	}
	c.RestartAll(t)
	for n := range drain(t, via(2), group, messages-len(settled)) {
		settled[n]++
	}
	for n := range messages {
		if settled[n] == 0 {
			t.Errorf("message %d is lost", n)
		}
	}
	for _, n := range clusterState(t, c, 0).Nodes {
		if len(n.Findings) > 0 {
			t.Errorf("%s suspects %+v", n.Name, n.Findings)
		}
	}
	// Without the key the data is not touched.
	c.Stop(t, 0)
	plain := c.Config(0)
	plain.Disk.Encrypted = false
	n, err := deploy.New(t.Context(), plain, slog.New(slog.DiscardHandler))
	if !errors.Is(err, engine.ErrEncrypted) {
		t.Errorf("a node without the key starts on encrypted data: %v", err)
	}
	if err == nil {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// The key of the store is rotated by making the data anew, one node after the other. No
// file that was written under the old key is left then, and nobody needs it any more.
func TestTheKeyOfTheStoreIsRotatedUnderLoad(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t, func(o *deploy.Config) { o.Disk.Encrypted = true })
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	store(via(0), queue, 1_000_000, 1_000_050)
	id, err := keys.Rotate(c.Config(0).KeysFolder, keys.Store)
	if err != nil || id != 1 {
		t.Fatalf("rotate: key %d, %v", id, err)
	}
	sent := 0
	for i := range deploytest.Size {
		sending := loadFrom(via((i+1)%deploytest.Size), queue, sent)
		c.Stop(t, i)
		c.Lose(t, i)
		c.Restart(t, i)
		waitVerdict(t, c, (i+1)%deploytest.Size, "3 of 3, can lose 1")
		if before := sent; sending.end() == before {
			t.Errorf("nothing was stored while node %d got the new key", i)
		}
		sent = sending.n
		mark, err := os.ReadFile(filepath.Join(c.DataFolder(i), "member", "member.json"))
		if err != nil || !bytes.Contains(mark, []byte(`"key":1`)) {
			t.Errorf("node %d has %s, %v, want the new key", i, mark, err)
		}
	}
	c.StopAll(t)
	c.StartAll(t)
	wantAll(t, via(2), group, sent, 50)
}
