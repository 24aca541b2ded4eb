package mapping

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"dms/mapping/dms"
)

// A cursor of a peek is a place in its store, so that it stays good however much comes or
// expires, with a sum over what was asked for, so that it is not taken to another request.
//
//	version 1 | sum 8 | place 8
//
// base64url without padding. It holds nothing secret and gives access to nothing.
const (
	peekCursorVersion = 1
	peekCursorSize    = 1 + 8 + 8
)

func peekCursor(p dms.Peek, place uint64) string {
	b := make([]byte, 0, peekCursorSize)
	b = append(b, peekCursorVersion)
	b = append(b, peekSum(p)...)
	b = binary.BigEndian.AppendUint64(b, place)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePeekCursor(p dms.Peek) (uint64, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil || len(b) != peekCursorSize || b[0] != peekCursorVersion {
		return 0, dms.Errorf(dms.BadParameters, "cursor is not one that an earlier page gave")
	}
	if string(b[1:9]) != string(peekSum(p)) {
		return 0, dms.Errorf(dms.BadParameters, "cursor is one of another request: repeat the parameters of the earlier page")
	}
	return binary.BigEndian.Uint64(b[9:]), nil
}

// peekSum is over everything but the size of the page.
func peekSum(p dms.Peek) []byte {
	p.Cursor, p.Limit = "", 0
	sum := sha256.New()
	// Times are compared as instants, and everything else as it stands.
	fmt.Fprintln(sum, p.FromTime.UnixNano())
	p.FromTime = p.FromTime.UTC().Truncate(0)
	if err := json.NewEncoder(sum).Encode(p); err != nil {
		panic("mapping: a request of our own cannot be encoded: " + err.Error())
	}
	return sum.Sum(nil)[:8]
}
