package audit

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"dms/tenancy"
)

// Chain seals the records of one project. Each record is stored with the hash of the one
// before it and a hash of its own over sequence, predecessor and content. The hashes are
// keyed, so that whoever can write to the store cannot make a chain anew.
type Chain struct{ key []byte }

// NewChain derives the project's key from a secret of at least 32 bytes.
func NewChain(secret []byte, project tenancy.ProjectID) (*Chain, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("the audit secret has %d bytes, want at least 32", len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "dms audit "+string(project), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive audit key: %w", err)
	}
	return &Chain{key: key}, nil
}

// sealed is a record as it is stored.
type sealed struct {
	Record   json.RawMessage `json:"record"`
	Previous []byte          `json:"previous"` // hash of the record before
	Hash     []byte          `json:"hash"`
}

// Seal returns the record to store under the sequence, which must be the one after the
// record with the hash previous; nil begins a chain.
func (c *Chain) Seal(sequence uint64, previous []byte, r Record) (data, hash []byte, err error) {
	if previous == nil {
		previous = c.genesis()
	}
	record, err := json.Marshal(r)
	if err != nil {
		return nil, nil, fmt.Errorf("seal audit record: %w", err)
	}
	hash = c.hash(sequence, previous, record)
	data, err = json.Marshal(sealed{Record: record, Previous: previous, Hash: hash})
	if err != nil {
		return nil, nil, fmt.Errorf("seal audit record: %w", err)
	}
	return data, hash, nil
}

// Open returns the record that was stored under the sequence. It fails with a Break if
// anything about it is not as it was sealed.
func (c *Chain) Open(sequence uint64, data []byte) (e Entry, previous []byte, err error) {
	broken := func(why string) (Entry, []byte, error) {
		return Entry{}, nil, &Break{Sequence: sequence, Reason: why}
	}
	var s sealed
	if err := json.Unmarshal(data, &s); err != nil {
		return broken("the record cannot be read")
	}
	// Decoding is lenient about case, space and repetition; what was sealed is not.
	again, err := json.Marshal(s)
	if err != nil || !bytes.Equal(again, data) {
		return broken("the record is not written as records are")
	}
	if !hmac.Equal(s.Hash, c.hash(sequence, s.Previous, s.Record)) {
		return broken("the record is not what was written in this place")
	}
	e = Entry{Sequence: sequence, Hash: s.Hash}
	if err := json.Unmarshal(s.Record, &e.Record); err != nil {
		return broken("the record cannot be read")
	}
	return e, s.Previous, nil
}

// genesis stands for the record before the first.
func (c *Chain) genesis() []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write([]byte("the beginning"))
	return m.Sum(nil)
}

func (c *Chain) hash(sequence uint64, previous, record []byte) []byte {
	m := hmac.New(sha256.New, c.key)
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], sequence)
	binary.BigEndian.PutUint64(n[8:], uint64(len(previous)))
	m.Write(n[:])
	m.Write(previous)
	m.Write(record)
	return m.Sum(nil)
}

// Verifier checks a chain from its first record that is still kept to its last.
type Verifier struct {
	chain  *Chain
	report Report
}

// Verify returns a verifier. Records at the front may be gone, by age or for want of
// room; the first that is there need not be the first of all.
func (c *Chain) Verify() *Verifier { return &Verifier{chain: c} }

// Next checks the record that comes next. After a break there is nothing more to check.
func (v *Verifier) Next(sequence uint64, data []byte) error {
	if v.report.Broken != nil {
		return v.report.Broken
	}
	err := v.next(sequence, data)
	if b, ok := errors.AsType[*Break](err); ok {
		v.report.Broken = b
	}
	return err
}

func (v *Verifier) next(sequence uint64, data []byte) error {
	if v.report.Records > 0 && sequence != v.report.Last+1 {
		return &Break{Sequence: v.report.Last + 1, Reason: "the record is missing"}
	}
	e, previous, err := v.chain.Open(sequence, data)
	if err != nil {
		return err
	}
	switch {
	case v.report.Records > 0 && !hmac.Equal(previous, v.report.Head),
		sequence == 1 && !hmac.Equal(previous, v.chain.genesis()):
		return &Break{Sequence: sequence, Reason: "the record does not follow the one before it"}
	}
	if v.report.Records == 0 {
		v.report.First, v.report.From = sequence, e.Record.Time
	}
	v.report.Records++
	v.report.Last, v.report.To, v.report.Head = sequence, e.Record.Time, e.Hash
	return nil
}

// Report ends the check of a trail whose last sequence is last, and whose first is first
// as far as the store knows.
func (v *Verifier) Report(first, last uint64) Report {
	r := v.report
	switch {
	case r.Broken != nil:
	case r.Records == 0 && last >= first && last > 0:
		r.Broken = &Break{Sequence: first, Reason: "the record is missing"}
	case r.Records > 0 && r.First > max(first, 1):
		r.Broken = &Break{Sequence: first, Reason: "the record is missing"}
	case r.Records > 0 && r.Last < last:
		r.Broken = &Break{Sequence: r.Last + 1, Reason: "the record is missing"}
	}
	return r
}
