package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dms/e2e/workload"
)

// stream is how the storage calls a queue.
func stream(queue string) string { return "q_" + strings.ReplaceAll(queue, "-", "") }

// consumer is how the storage calls a group.
func consumer(group string) string {
	return "g_" + strings.ReplaceAll(strings.TrimPrefix(group, "g-"), "-", "")
}

// files lists the files below a folder that a condition picks, in a fixed order.
func files(folder string, pick func(path string, size int64) bool) ([]string, error) {
	var all []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && pick(path, info.Size()) {
			all = append(all, path)
		}
		return err
	})
	slices.Sort(all)
	return all, err
}

// streamOf is the stream that a file belongs to; "" is none.
func streamOf(path string) string {
	parts := strings.Split(path, "/")
	if i := slices.Index(parts, "streams"); i >= 0 && i+1 < len(parts) {
		return parts[i+1]
	}
	return ""
}

// ours reports whether a file belongs to a queue of this round.
func (f *field) ours(path string) bool {
	s := streamOf(path)
	return slices.ContainsFunc(f.world.Queues(), func(q string) bool { return stream(q) == s })
}

// damage changes a file of the victim while that is down. It is stopped in order two
// times of three, which is when it trusts its files most.
func (f *field) damage(ctx context.Context, pick func(string, int64) bool, change func(path string) error) error {
	if f.rng.IntN(3) == 0 {
		f.note("%s killed", f.victim.name)
		if err := f.victim.kill(); err != nil {
			return err
		}
	} else {
		f.note("%s stopped", f.victim.name)
		if err := f.victim.stop(ctx); err != nil {
			f.complain("stop of %s: %.600v", f.victim.name, err)
		}
	}
	all, err := files(f.victim.data(), pick)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.Join(errors.New("there is no file to damage"), f.back(ctx, f.victim))
	}
	path := all[f.rng.IntN(len(all))]
	if err := change(path); err != nil {
		return err
	}
	if s := streamOf(path); s != "" {
		f.damaged[s] = true
	}
	begin, before := time.Now(), f.cluster.leaders.said(f.victim.index)
	if err := f.back(ctx, f.victim); err != nil {
		return err
	}
	f.note("served %.1fs later", time.Since(begin).Seconds())
	return f.repaired(ctx, before, begin)
}

// repairLimit is what the plan of faults allows a repair.
const repairLimit = 5 * time.Minute

// repaired waits until the victim has read its messages and rebuilt what it found to be
// damaged: a replica that was damaged again before would be two faults at once.
func (f *field) repaired(ctx context.Context, before health, begin time.Time) error {
	limited, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	var now health
	err := await(limited, "the damaged replica to be rebuilt", func() error {
		now = f.cluster.leaders.said(f.victim.index)
		if now.readings == before.readings || now.made-before.made < now.found-before.found {
			return fmt.Errorf("%d readings, %d replicas found damaged, %d rebuilt", now.readings-before.readings, now.found-before.found, now.made-before.made)
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		f.complain("%v", err)
	case now.found > before.found:
		f.note("found and rebuilt %.1fs later", time.Since(begin).Seconds())
	default:
		f.note("nothing was left to rebuild")
	}
	return f.whole(ctx) // its storage started anew
}

// flipBit flips one bit in what a replica of a queue has stored.
func flipBit(ctx context.Context, f *field) error {
	blocks := func(path string, size int64) bool {
		return strings.HasSuffix(path, ".blk") && strings.HasSuffix(filepath.Dir(path), "/msgs") && size > 0 && f.ours(path)
	}
	return f.damage(ctx, blocks, func(path string) error {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		at, bit := f.rng.Int64N(info.Size()), f.rng.IntN(8)
		one := make([]byte, 1)
		if _, err := file.ReadAt(one, at); err != nil {
			return err
		}
		one[0] ^= 1 << bit
		if _, err := file.WriteAt(one, at); err != nil {
			return err
		}
		f.note("bit %d of byte %d of %d in %s", bit, at, info.Size(), f.short(path))
		return file.Sync()
	})
}

// short is a path without what all paths of the node have in common.
func (f *field) short(path string) string {
	short, err := filepath.Rel(f.victim.data(), path)
	if err != nil {
		return path
	}
	if s := streamOf(short); s != "" {
		return short[strings.Index(short, s):]
	}
	return short
}

// truncate cuts off the end, the half or all of a file.
func truncate(ctx context.Context, f *field) error {
	kinds := []func(path string) bool{
		func(p string) bool { return strings.HasSuffix(p, ".blk") && f.ours(p) },
		func(p string) bool { return strings.HasSuffix(p, ".blk") && strings.Contains(p, "/_js_/") },
		func(p string) bool { return strings.HasSuffix(p, "index.db") && f.ours(p) },
		func(p string) bool { return strings.HasSuffix(p, "meta.inf") && f.ours(p) },
		func(p string) bool { return strings.HasSuffix(p, "o.dat") && f.ours(p) },
		func(p string) bool { return strings.Contains(p, "/snapshots/") },
	}
	// A node that is down has not all kinds of files at all times.
	order := f.rng.Perm(len(kinds))
	var kind func(string) bool
	for _, k := range order {
		found, err := files(f.victim.data(), func(p string, size int64) bool { return size > 0 && kinds[k](p) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // files come and go while it runs
			return err
		}
		if len(found) > 0 {
			kind = kinds[k]
			break
		}
	}
	if kind == nil {
		return errors.New("there is no file to truncate")
	}
	return f.damage(ctx, func(p string, size int64) bool { return size > 0 && kind(p) }, func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		left := []int64{0, info.Size() / 2, info.Size() - 1 - f.rng.Int64N(min(info.Size(), 64))}[f.rng.IntN(3)]
		left = max(left, 0)
		f.note("%d of %d bytes left of %s", left, info.Size(), f.short(path))
		return os.Truncate(path, left)
	})
}

// stale puts back what the victim's disk held a while ago.
func stale(ctx context.Context, f *field) error {
	if err := f.victim.stop(ctx); err != nil {
		f.complain("stop of %s: %.600v", f.victim.name, err)
	}
	copied := f.victim.data() + ".old"
	if err := run("cp", "-a", f.victim.data(), copied); err != nil {
		return err
	}
	if err := f.back(ctx, f.victim); err != nil {
		return err
	}
	f.hold(ctx, 4*time.Second, 8*time.Second)
	if err := f.victim.kill(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(f.victim.data()), os.Rename(copied, f.victim.data())); err != nil {
		return err
	}
	return f.back(ctx, f.victim)
}

// lose empties the victim's disk.
func lose(ctx context.Context, f *field) error {
	if err := f.victim.kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(f.victim.data()); err != nil {
		return err
	}
	begin := time.Now()
	err := f.back(ctx, f.victim)
	f.note("caught up after %.1fs", time.Since(begin).Seconds())
	return err
}

const leadTries = 8

// lead makes a node lead by restarting whoever does, in order. Nobody can be told to.
func (f *field) lead(ctx context.Context, what string, want *node) error {
	for range leadTries {
		i, ok := f.cluster.leaders.leads(what)
		if !ok {
			return fmt.Errorf("no log tells who leads %s", what)
		}
		if i == want.index {
			return nil
		}
		n := f.cluster.nodes[i]
		if err := n.stop(ctx); err != nil {
			f.complain("stop of %s: %.600v", n.name, err)
		}
		if err := f.back(ctx, n); err != nil {
			return err
		}
	}
	f.note("%s did not get to lead %s", want.name, what)
	return nil
}

// exposeDamage makes the victim serve the readers of the queues that were damaged there.
func (f *field) exposeDamage(ctx context.Context, readers []workload.Reader) error {
	for _, r := range readers {
		if !f.damaged[stream(r.Queue)] {
			continue
		}
		if err := f.lead(ctx, stream(r.Queue), f.victim); err != nil {
			return err
		}
		if what := stream(r.Queue) + " " + consumer(r.Group); !r.FIFO {
			if err := f.lead(ctx, what, f.victim); err != nil {
				return err
			}
		}
	}
	return nil
}
