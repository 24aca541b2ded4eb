package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/highwayhash"
)

const (
	tombstoneBit  = 1 << 62
	tombstoneSize = 4 + 8 + 8 + 2 + 8 // length, sequence, time, length of the subject, checksum
)

// forward lets a stream whose files are below a folder, and that does not run, go on
// behind a sequence: all up to it that is not there counts as removed. It adds a block
// that holds nothing but the removal of that sequence.
func forward(folder, stream string, last uint64, at time.Time) error {
	blocks, err := filepath.Glob(filepath.Join(folder, "msgs", "*.blk"))
	if err != nil {
		return err
	}
	index := uint32(0)
	for _, path := range blocks {
		var n uint32
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.blk", &n); err == nil {
			index = max(index, n)
		}
	}
	index++
	record := make([]byte, 0, tombstoneSize)
	record = binary.LittleEndian.AppendUint32(record, tombstoneSize)
	record = binary.LittleEndian.AppendUint64(record, last|tombstoneBit)
	record = binary.LittleEndian.AppendUint64(record, uint64(at.UnixNano()))
	record = binary.LittleEndian.AppendUint16(record, 0)
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	sum, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return err
	}
	sum.Write(record[4:20])
	record = sum.Sum(record)
	// What was known of the blocks would not fit them any more.
	if err := os.Remove(filepath.Join(folder, "msgs", "index.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(filepath.Join(folder, "msgs", fmt.Sprintf("%d.blk", index)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(record)
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Join(folder, "msgs")))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
