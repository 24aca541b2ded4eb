package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/minio/highwayhash"
)

// leastSnapshot is the number of bytes of a snapshot without content: two numbers, a
// length and a checksum.
const leastSnapshot = 28

// dropDamaged removes files of the store that a start could not read, and whose content
// is elsewhere.
func (o Options) dropDamaged(log *slog.Logger) error {
	snapshots := filepath.Join("*", "_js_", "*", "snapshots", "snap.*")
	consumers := filepath.Join("*", "streams", "*", "obs", "*", "o.dat")
	return errors.Join(
		// The server would not run a log with such a snapshot at all, so that the member is
		// never ready. Without it the log begins empty, keeps what it has voted for, and is
		// filled by its leader.
		o.dropUnless(snapshots, log, func(path string, text []byte) (bool, error) {
			return wholeSnapshot(filepath.Base(filepath.Dir(filepath.Dir(path))), text)
		}),
		// Nor would it run such a consumer. Without the file its state is that of its log.
		o.dropUnless(consumers, log, func(_ string, text []byte) (bool, error) {
			return wholeReader(text, o.Encrypted), nil
		}),
	)
}

// dropUnless removes the files of a pattern, below the folder of all accounts, that are
// not whole.
func (o Options) dropUnless(pattern string, log *slog.Logger, whole func(path string, text []byte) (bool, error)) error {
	all, err := filepath.Glob(filepath.Join(o.storeDir(), "jetstream", pattern))
	if err != nil {
		return fmt.Errorf("look for damaged files: %w", err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for damaged files: %w", err)
		}
		ok, err := whole(path, text)
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		log.LogAttrs(context.Background(), slog.LevelError, "a file is damaged and is made anew", slog.String("file", path), slog.Int("bytes", len(text)))
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a damaged file: %w", err)
		}
	}
	return nil
}

// wholeSnapshot reports whether the checksum at the end of a snapshot is that of the
// rest, under a key that comes of the log's name.
func wholeSnapshot(group string, text []byte) (bool, error) {
	if len(text) < leastSnapshot {
		return false, nil
	}
	key := sha256.Sum256([]byte(group))
	sum, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return false, fmt.Errorf("check a snapshot: %w", err)
	}
	end := len(text) - highwayhash.Size64
	sum.Write(text[:end])
	return bytes.Equal(text[end:], sum.Sum(nil)), nil
}

// DropSnapshots removes the snapshots of a log from a store that no member uses, so that
// it begins with what its leader has. A replica that was damaged has noted in them what
// it lacked, as removed.
func DropSnapshots(store, log string) error {
	all, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "_js_", log, "snapshots", "snap.*"))
	if err != nil {
		return fmt.Errorf("look for snapshots: %w", err)
	}
	var errs []error
	for _, path := range all {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
