package engine

import "encoding/binary"

const (
	readerMagic = 22
	sealedLeast = 12 + 16 // nonce and tag of what is encrypted
	topBit      = 1 << 63
)

// wholeReader reports whether the server could read the state of a consumer: a header of
// two bytes, four numbers, and so many pending deliveries as a fifth one says. Of what is
// encrypted only the least length is looked at; the server does not.
func wholeReader(text []byte, encrypted bool) bool {
	switch {
	case len(text) == 0:
		return true // not written yet
	case encrypted:
		return len(text) >= sealedLeast
	case len(text) < 2 || text[0] != readerMagic || text[1] < 1 || text[1] > 2:
		return false
	}
	perPending := int(text[1]) + 1 // the second version has the delivery's own number as well
	rest := text[2:]
	number := func() (value uint64, ok bool) {
		value, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, false
		}
		rest = rest[n:]
		return value, true
	}
	var floor uint64
	for i := range 4 { // settled and delivered, each by consumer and stream
		value, ok := number()
		if !ok || i%2 == 1 && value&topBit != 0 {
			return false
		}
		if i == 1 {
			floor = value
		}
	}
	pending, _ := number()
	if pending > 0 {
		if _, ok := number(); !ok { // the earliest time
			return false
		}
	}
	for range pending {
		for i := range perPending {
			value, ok := number()
			if !ok || i == 0 && value+floor == 0 {
				return false
			}
		}
	}
	return true
}
