package engine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Flags of a file from linux/fs.h.
const (
	flagSync    = 0x8     // writes return when they are on disk
	flagDirSync = 0x10000 // the same for entries of a folder
)

// keepSynced has the file system write the folder, and what is made in it from now on, to
// disk before a write returns, as chattr +S +D does: the server does not sync the accounts
// that it keeps there. The error says that the file system cannot.
func keepSynced(dir string) error {
	// Some file systems know the first flag and not the second. A synced file brings its
	// entry in the folder to disk as well; the second covers removals.
	err := setFlags(dir, flagSync|flagDirSync)
	if err != nil {
		err = setFlags(dir, flagSync)
	}
	if err != nil {
		return fmt.Errorf("sync what is written to %s: %w", dir, err)
	}
	return nil
}

// setFlags adds flags to a file or folder.
func setFlags(path string, flags uint32) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fd := int(f.Fd())
	have, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || have&flags == flags {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(have|flags))
}

// synced reports whether new files in the folder are synced.
func synced(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	have, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return have&flagSync != 0, err
}
