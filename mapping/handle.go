package mapping

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/seal"
)

// A handle is a sealed record of one delivery. Any node can open it, nobody can make
// or change one, and it is worth nothing in another project, whose id is authenticated
// with it. The first byte is the version, the second the id of the key:
//
//	version 1 | key id | nonce 24 | sealed: queue 16, group 16, kind 1, place 1,
//	size 1, batch 16, node 8, deliveries 4, sequence 8, consumer sequence 8, deadline 8
//
// base64url without padding and strictly decoded, so that one delivery has one handle.
//
// Version 2 goes on with the generation of the group's position 4 and the time of the
// first handing out 8. It is used when there is something to say there, so that nodes of
// an earlier version can open all other handles.
const (
	handleVersion  = 1
	handleVersion2 = 2
	receiptSize    = 16 + 16 + 1 + 1 + 1 + 16 + 8 + 4 + 8 + 8 + 8
	receiptSize2   = receiptSize + 4 + 8
)

// receipt is what a handle says.
type receipt struct {
	ref         dms.GroupRef
	kind        dms.Kind
	batch       [16]byte // the consume call, or the lease of a cursor
	place, size byte     // position in the batch, from 0, and number of its deliveries
	node        [8]byte  // the run of the node that handed it out
	deliveries  uint32
	seq         uint64 // in the store it was read from
	consumerSeq uint64 // only for consumers, not for cursors
	deadline    time.Time
	gen         uint32    // only for consumers; see reading
	origin      time.Time // when it was handed out, if its time was extended since
}

// version is that of the handle that says all of it.
func (r receipt) version() (version byte, size int) {
	if r.gen == 0 && r.origin.IsZero() {
		return handleVersion, receiptSize
	}
	return handleVersion2, receiptSize2
}

func (r receipt) batchKey() string { return hex.EncodeToString(r.batch[:]) }

// sealer makes handles and opens them.
type sealer struct{ *seal.Sealer }

var handleEncoding = base64.RawURLEncoding.Strict()

func (s sealer) seal(r receipt) dms.Handle {
	version, size := r.version()
	var plain [receiptSize2]byte
	r.put(plain[:0])
	b := make([]byte, 1, 1+seal.Overhead+receiptSize2)
	b[0] = version
	b = s.Append(b, plain[:size], bound(r.ref.Project, version))
	return dms.Handle(handleEncoding.EncodeToString(b))
}

// bound ties a handle to its project and version.
func bound(project tenancy.ProjectID, version byte) []byte {
	return append([]byte(project), version)
}

func (r receipt) put(b []byte) {
	b = appendHex(b, queueKey(r.ref.Queue))
	b = appendHex(b, groupKey(r.ref.Group))
	b = append(b, byte(r.kind), r.place, r.size)
	b = append(b, r.batch[:]...)
	b = append(b, r.node[:]...)
	b = binary.BigEndian.AppendUint32(b, r.deliveries)
	b = binary.BigEndian.AppendUint64(b, r.seq)
	b = binary.BigEndian.AppendUint64(b, r.consumerSeq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.deadline.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, r.gen)
	var origin int64
	if !r.origin.IsZero() {
		origin = r.origin.UnixMilli()
	}
	binary.BigEndian.AppendUint64(b, uint64(origin))
}

func appendHex(b []byte, s string) []byte {
	var raw [16]byte
	if n, err := hex.Decode(raw[:], []byte(s)); err != nil || n != len(raw) {
		panic("mapping: an id of our own is not a UUID")
	}
	return append(b, raw[:]...)
}

var errHandle = errors.New("not a handle of this project")

// open returns what the handle says, or errHandle for anything that seal did not
// make for this project. It does not judge deadline, queue or group.
func (s sealer) open(project tenancy.ProjectID, h dms.Handle) (receipt, error) {
	const whole = 1 + seal.Overhead + receiptSize
	const whole2 = 1 + seal.Overhead + receiptSize2
	if n := len(h); n != handleEncoding.EncodedLen(whole) && n != handleEncoding.EncodedLen(whole2) {
		return receipt{}, errHandle
	}
	// The decoder skips line breaks even when it is strict, so the length is looked at
	// again.
	b, err := handleEncoding.DecodeString(string(h))
	if err != nil || !(len(b) == whole && b[0] == handleVersion || len(b) == whole2 && b[0] == handleVersion2) {
		return receipt{}, errHandle
	}
	p, err := s.Open(b[1:], bound(project, b[0]))
	if err != nil {
		return receipt{}, errHandle
	}
	r := receipt{ref: dms.GroupRef{QueueRef: dms.QueueRef{Project: project}}}
	r.ref.Queue = dms.QueueID(hyphenate(hex.EncodeToString(p[:16])))
	r.ref.Group = dms.GroupID("g-" + hyphenate(hex.EncodeToString(p[16:32])))
	r.kind, r.place, r.size = dms.Kind(p[32]), p[33], p[34]
	copy(r.batch[:], p[35:51])
	copy(r.node[:], p[51:59])
	r.deliveries = binary.BigEndian.Uint32(p[59:63])
	r.seq = binary.BigEndian.Uint64(p[63:71])
	r.consumerSeq = binary.BigEndian.Uint64(p[71:79])
	r.deadline = time.UnixMilli(int64(binary.BigEndian.Uint64(p[79:87])))
	if len(p) == receiptSize2 {
		r.gen = binary.BigEndian.Uint32(p[87:91])
		if origin := int64(binary.BigEndian.Uint64(p[91:99])); origin != 0 {
			r.origin = time.UnixMilli(origin)
		}
	}
	return r, nil
}
