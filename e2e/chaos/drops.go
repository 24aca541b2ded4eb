package chaos

import (
	"context"
	"fmt"
	"os"
)

const (
	halves = 500
	// spareFiles is how many more files a node may have open afterwards: other clients
	// come and go meanwhile.
	spareFiles = 100
)

// breakOff lets clients break off in the middle of requests.
func breakOff(ctx context.Context, f *field) error {
	n := f.anyNode()
	before, err := n.openFiles()
	if err != nil {
		return err
	}
	if err := f.world.Halves(ctx, n.index, halves); err != nil {
		return err
	}
	if err := f.whole(ctx); err != nil {
		return err
	}
	after, err := n.openFiles()
	if err != nil {
		return err
	}
	f.note("%s: %d requests broken off, %d files open before, %d after", n.name, halves, before, after)
	if after > before+spareFiles {
		f.complain("%s keeps %d files open after clients broke off, before that %d", n.name, after, before)
	}
	return nil
}

// openFiles counts the files and connections of the node's process.
func (n *node) openFiles() (int, error) {
	p := n.process()
	if p == nil {
		return 0, fmt.Errorf("%s is down", n.name)
	}
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	return len(all), err
}
