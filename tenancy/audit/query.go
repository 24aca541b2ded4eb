package audit

import (
	"time"

	"dms/tenancy"
)

// MaxPage is the largest page of records.
const MaxPage = 200

// Query selects records of a trail.
type Query struct {
	From, To      time.Time // of the records' own time; From inclusive, To exclusive; zero is open
	Action, Actor string    // empty is any
	OldestFirst   bool
	Limit         int    // 1 to MaxPage
	After         uint64 // sequence of the last record that was seen; 0 begins
}

// Entry is a record in its place.
type Entry struct {
	Sequence uint64
	Record   Record
	Hash     []byte
}

// Page is a part of what a query selects.
type Page struct {
	Entries []Entry
	// Next is the After of the next page, 0 if there is none. A page may be short or even
	// empty and still have a next one: the search is bounded.
	Next uint64
}

// Report is what a check of a whole trail found.
type Report struct {
	First, Last uint64 // sequences; both 0 in a trail that was never written to
	Records     int64
	From, To    time.Time // when the first and the last record were made
	// Head is the hash of the last record. Whoever notes it down can tell later whether
	// the trail up to there is still the same.
	Head []byte
	// Broken is nil if the chain holds.
	Broken *Break
}

// Break is the first place where a chain does not hold.
type Break struct {
	Sequence uint64
	Reason   string
}

// Error makes a break an error.
func (b *Break) Error() string { return b.Reason }

// Service is the trail of what concerns no project: operators' calls, and refusals of
// callers who are nobody's.
const Service = tenancy.Control
