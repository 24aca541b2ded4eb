package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ext4Shutdown is EXT4_IOC_SHUTDOWN of linux/fs/ext4; with noLogFlush not even the
	// journal is written: what is on the disk stays as it is, as when the power fails.
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2

	unmountLimit = 20 * time.Second
	fillerFile   = "filler"
)

// disk is a file system in a file. Nothing but syncing makes it write soon: the journal
// is committed every five minutes.
type disk struct{ image, mount string }

// newDisk makes a file system of so many bytes in sparse files below a folder, and
// mounts it.
func newDisk(folder, name string, bytes int64) (*disk, error) {
	d := &disk{image: filepath.Join(folder, name+".ext4"), mount: filepath.Join(folder, name)}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(bytes), f.Close(), os.Mkdir(d.mount, 0o700)); err != nil {
		return nil, err
	}
	if err := run("mkfs.ext4", "-q", "-m", "0", d.image); err != nil {
		return nil, err
	}
	return d, d.attach()
}

func (d *disk) attach() error { return run("mount", "-o", "loop,commit=300", d.image, d.mount) }

// detach unmounts. A process that was killed just now may still hold the disk.
func (d *disk) detach() error {
	ctx, cancel := context.WithTimeout(context.Background(), unmountLimit)
	defer cancel()
	return await(ctx, "the disk to be free", func() error {
		err := unix.Unmount(d.mount, 0)
		if errors.Is(err, unix.EINVAL) { // not mounted
			return nil
		}
		return err
	})
}

// cut takes the power away: from now on nothing reaches the disk, and what was written
// but not synced is lost.
func (d *disk) cut() error {
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush); err != nil {
		return fmt.Errorf("cut the power of %s: %w", d.mount, err)
	}
	return nil
}

// again mounts what a power cut left, when no process uses it any more.
func (d *disk) again() error {
	if err := d.detach(); err != nil {
		return err
	}
	return d.attach()
}

// free is how many bytes can be written.
func (d *disk) free() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.mount, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// fill takes all space that there is, and with greed what somebody gives up meanwhile.
func (d *disk) fill(greed bool) error {
	f, err := os.Create(filepath.Join(d.mount, fillerFile))
	if err != nil {
		return err
	}
	defer f.Close()
	most := int64(math.MaxInt64)
	if !greed {
		if most, err = d.free(); err != nil {
			return err
		}
	}
	var size int64
	// What the file system needs for itself is not known beforehand.
	for step := int64(1 << 30); step >= 1<<16 && size < most; {
		free, err := d.free()
		if err != nil {
			return err
		}
		if free < step || most-size < step {
			step /= 2
			continue
		}
		if err := unix.Fallocate(int(f.Fd()), 0, size, step); errors.Is(err, unix.ENOSPC) {
			step /= 2
			continue
		} else if err != nil {
			return fmt.Errorf("fill %s: %w", d.mount, err)
		}
		size += step
	}
	return nil
}

// empty gives the space back.
func (d *disk) empty() error { return os.Remove(filepath.Join(d.mount, fillerFile)) }
