package scrub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// rangeLength is how many sequences one sum covers.
const rangeLength = 4096

// Sum is the sum of the messages of a stream from a sequence to another, of which there
// are at most 4096, all within one range of that length. Replicas of a stream have the
// same sums, whenever they are taken, for a stored message never changes.
type Sum struct {
	From uint64 `json:"f"`
	To   uint64 `json:"t"`
	Sum  uint64 `json:"s"`
	Bad  string `json:"b,omitempty"` // why some of the range cannot be read
}

func (s Sum) index() uint64 { return s.From / rangeLength }

// pace makes reading wait so that it takes no more than its share of the disk.
type pace struct {
	bytesPerSecond int64
	owed           time.Duration
}

func (p *pace) read(ctx context.Context, n int) error {
	if p.bytesPerSecond <= 0 {
		return ctx.Err()
	}
	p.owed += time.Duration(float64(n) / float64(p.bytesPerSecond) * float64(time.Second))
	if p.owed < 10*time.Millisecond {
		return ctx.Err()
	}
	t := time.NewTimer(p.owed)
	defer t.Stop()
	p.owed = 0
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle is how long a file must not change before a record that is cut counts as
// damaged rather than as being written.
const settle = 2 * time.Second

// readSums reads all blocks in the folder of a stream's messages and returns the sums of
// what they hold from the sequence first on, in order. Nothing may be missing up to last.
// A stream that is deleted meanwhile, or has no blocks, has no sums.
func readSums(ctx context.Context, stream, dir string, first, last uint64, p *pace) ([]Sum, error) {
	blocks, err := listBlocks(dir)
	if err != nil {
		return nil, err
	}
	s := summing{first: first, hash: sha256.New(), reached: max(first, 1) - 1}
	for i, b := range blocks {
		check, err := checksums(stream, b.number)
		if err != nil {
			return nil, err
		}
		if err := s.block(ctx, b.path, check, i == len(blocks)-1, p); err != nil {
			return nil, err
		}
	}
	if s.reached < last {
		s.open(s.reached + 1)
		s.bad(fmt.Sprintf("the files end at message %d of %d", s.reached, last))
	}
	s.close()
	return s.all, nil
}

// blockFile is a file of a stream's messages.
type blockFile struct {
	number uint64
	path   string
}

// listBlocks returns the files of a stream's messages, oldest first.
func listBlocks(dir string) ([]blockFile, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	var all []blockFile
	for _, e := range entries {
		var n uint64
		if name, ok := strings.CutSuffix(e.Name(), ".blk"); ok {
			if _, err := fmt.Sscanf(name, "%d", &n); err == nil {
				all = append(all, blockFile{n, filepath.Join(dir, e.Name())})
			}
		}
	}
	slices.SortFunc(all, func(a, b blockFile) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// summing goes through the messages of a stream.
type summing struct {
	first   uint64 // what is before has expired
	reached uint64 // the last message seen
	began   bool   // a message has been seen
	hash    hash.Hash
	now     *Sum // the range that is being summed; nil is none
	all     []Sum
}

// block goes through one file. One that has expired meanwhile has nothing.
func (s *summing) block(ctx context.Context, path string, check hash.Hash, newest bool, p *pace) error {
	data, cut, err := readBlock(ctx, path, check, newest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.data(data)
	if cut != nil {
		s.open(s.reached + 1)
		s.bad(fmt.Sprintf("%s: %v", filepath.Base(path), cut))
	}
	return p.read(ctx, len(data))
}

// readBlock reads a file up to the first record that cannot be read, and says why that
// cannot. Of the file that is being written to, a cut record at the end is nothing
// unless it stays as it is.
func readBlock(ctx context.Context, path string, check hash.Hash, newest bool) (data []byte, cut, err error) {
	data, err = os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	end, cut := lastRecord(data, check)
	if cut == nil {
		return data, nil, nil
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	again, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	end2, cut2 := lastRecord(again, check)
	if newest && cut2 != nil && (end2 != end || len(again) != len(data)) {
		cut2 = nil // it is being written
	}
	return again[:end2], cut2, nil
}

// lastRecord returns where the last whole record ends, and what is wrong with what
// follows.
func lastRecord(data []byte, check hash.Hash) (int, error) {
	at := 0
	for at < len(data) {
		r, err := recordAt(data, at, check)
		if err != nil {
			return at, err
		}
		at = r.next
	}
	return at, nil
}

func (s *summing) data(data []byte) {
	for at := 0; at < len(data); {
		r, err := recordAt(data, at, nil)
		if err != nil {
			return // readBlock has said so
		}
		at = r.next
		if r.gone || r.seq < s.first || s.began && r.seq <= s.reached {
			continue
		}
		if r.seq != s.reached+1 && (s.began || r.seq > s.first) {
			s.open(s.reached + 1)
			s.bad(fmt.Sprintf("messages %d to %d are missing", s.reached+1, r.seq-1))
		}
		s.open(r.seq)
		s.hash.Write(r.same)
		s.now.To, s.reached, s.began = r.seq, r.seq, true
	}
}

// open makes the range of the sequence the one that is summed.
func (s *summing) open(seq uint64) {
	if s.now != nil && s.now.index() == seq/rangeLength {
		return
	}
	s.close()
	s.now = &Sum{From: seq, To: seq}
}

func (s *summing) bad(why string) {
	if s.now.Bad == "" {
		s.now.Bad = why
	}
}

func (s *summing) close() {
	if s.now == nil {
		return
	}
	s.now.Sum = binary.LittleEndian.Uint64(s.hash.Sum(nil))
	s.all = append(s.all, *s.now)
	s.hash.Reset()
	s.now = nil
}
