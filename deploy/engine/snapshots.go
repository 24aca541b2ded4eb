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

// dropDamagedSnapshots removes the snapshots of logs that a start could not read. The
// server would not run such a log at all, so that the member is never ready. Without its
// snapshot a log begins empty, keeps what it has voted for, and is filled by its leader.
func (o Options) dropDamagedSnapshots(log *slog.Logger) error {
	all, err := filepath.Glob(filepath.Join(o.storeDir(), "jetstream", "*", "_js_", "*", "snapshots", "snap.*"))
	if err != nil {
		return fmt.Errorf("look for snapshots: %w", err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read a snapshot: %w", err)
		}
		group := filepath.Base(filepath.Dir(filepath.Dir(path)))
		whole, err := wholeSnapshot(group, text)
		if err != nil {
			return err
		}
		if whole {
			continue
		}
		log.LogAttrs(context.Background(), slog.LevelError, "a snapshot is damaged and is fetched anew", slog.String("log", group), slog.Int("bytes", len(text)))
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a damaged snapshot: %w", err)
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
