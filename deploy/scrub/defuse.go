package scrub

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// farAway is by how many sequences a record may be ahead of the one before it without
// being looked into. The server takes about a second to go over so many.
const farAway = 1 << 24

// Defuse makes damage plain that would keep a server from ever starting, in the files of a
// store that no server uses. When the server comes to a record it goes over all sequences up
// to that record's own, before it looks at its checksum: one bit that is flipped high up in a
// sequence makes that last for ever. Such a record loses its length, so that the server
// takes the file to end there, as it does with other damage; the rest is rebuilt. The files
// that were written last are read first, until the time is over.
// Source: nats-server v2.15.2, server/filestore.go, indexCacheBuf.
func Defuse(store string, within time.Duration, log *slog.Logger) error {
	end := time.Now().Add(within)
	paths, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return fmt.Errorf("look for damaged sequences: %w", err)
	}
	written := make(map[string]time.Time, len(paths))
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			written[path] = info.ModTime()
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return written[b].Compare(written[a]) })
	for _, path := range paths {
		if time.Now().After(end) {
			break
		}
		at, err := farRecord(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && at < 0 {
			continue
		}
		if err == nil {
			log.LogAttrs(context.Background(), slog.LevelError, "a damaged sequence would stop the storage; its file is cut there", slog.String("file", path), slog.Int("at", at))
			err = clearLength(path, at)
		}
		if err != nil {
			return fmt.Errorf("look for damaged sequences: %w", err)
		}
	}
	return nil
}

// farRecord returns where the first record of a block begins that is far ahead and has
// another checksum; -1 is nowhere.
func farRecord(path string) (int, error) {
	var number uint64
	if _, err := fmt.Sscanf(filepath.Base(path), "%d.blk", &number); err != nil {
		return -1, nil // no block
	}
	check, err := checksums(filepath.Base(filepath.Dir(filepath.Dir(path))), number)
	if err != nil {
		return -1, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return -1, err
	}
	last := uint64(0)
	for at := 0; at < len(data); {
		r, err := recordAt(data, at, nil)
		if err != nil {
			return -1, nil // the server ends there by itself
		}
		if last > 0 && r.seq > last+farAway {
			if _, err := recordAt(data, at, check); err != nil {
				return at, nil
			}
		}
		last, at = max(last, r.seq), r.next
	}
	return -1, nil
}

func clearLength(path string, at int) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint32(nil, 0), int64(at)); err != nil {
		return err
	}
	return f.Sync()
}
