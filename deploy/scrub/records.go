package scrub

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/minio/highwayhash"
)

// A block file is a sequence of records, little-endian:
//
//	length of the record  4 bytes, the top bit set when there are headers
//	sequence              8 bytes, the top bits set for what was deleted
//	time                  8 bytes
//	length of the subject 2 bytes
//	subject, with headers their length (4 bytes) and headers, payload
//	checksum              8 bytes: of sequence, time, subject, headers and payload
//
// Sequence, time, subject, headers and payload are the same on every replica.
// Source: nats-server v2.15.2, server/filestore.go, writeMsgRecordLocked.
const (
	headLength = 22
	tailLength = 8
	// longestRecord is what the server takes for a sign of damage.
	longestRecord = 32 << 20

	withHeaders = uint32(1) << 31
	erased      = uint64(1) << 63
	tombstone   = uint64(1) << 62
)

// record is one record of a block.
type record struct {
	seq  uint64
	gone bool   // erased, or a mark that something was deleted
	same []byte // what every replica has; of what is gone, nothing
	next int    // where the following record begins
}

var (
	errCut     = errors.New("the block ends within a record")
	errDamaged = errors.New("a record is damaged")
)

// checksums makes the sums of records in one file, under a key that comes of the
// stream's name and the file's number.
func checksums(stream string, number uint64) (hash.Hash, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, number))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return nil, fmt.Errorf("check records: %w", err)
	}
	return h, nil
}

// recordAt reads the record that begins at an offset of a block, and checks its sum
// unless check is nil. errCut may mean that the record is being written.
func recordAt(block []byte, at int, check hash.Hash) (record, error) {
	b := block[at:]
	if len(b) < headLength {
		return record{}, fmt.Errorf("%w at %d", errCut, at)
	}
	length := binary.LittleEndian.Uint32(b)
	headers := length&withHeaders != 0
	length &^= withHeaders
	subject := int(binary.LittleEndian.Uint16(b[20:]))
	least := headLength + subject + tailLength
	if headers {
		least += 4
	}
	if length > longestRecord || int(length) < least {
		return record{}, fmt.Errorf("%w at %d: it has %d bytes and a subject of %d", errDamaged, at, length, subject)
	}
	if int(length) > len(b) {
		return record{}, fmt.Errorf("%w at %d", errCut, at)
	}
	if check != nil {
		content := b[headLength+subject : int(length)-tailLength]
		if headers {
			content = content[4:]
		}
		check.Reset()
		check.Write(b[4:20])
		check.Write(b[headLength : headLength+subject])
		check.Write(content)
		if !bytes.Equal(check.Sum(nil), b[int(length)-tailLength:length]) {
			return record{}, fmt.Errorf("%w at %d: its checksum is another one", errDamaged, at)
		}
	}
	r := record{seq: binary.LittleEndian.Uint64(b[4:]), next: at + int(length)}
	if r.gone = r.seq&(erased|tombstone) != 0 || r.seq == 0; r.gone {
		r.seq &^= erased | tombstone
		return r, nil
	}
	// The lengths count, too: moving a byte from the headers to the payload is damage.
	r.same = b[:int(length)-tailLength]
	return r, nil
}
