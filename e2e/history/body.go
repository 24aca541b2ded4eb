package history

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Body is what a test message says about itself. Its nonce is unique in a history and
// is the message's identity; a message sent again has the same nonce.
type Body struct {
	Tenant   string `json:"tenant"`
	Queue    string `json:"queue"`
	Producer string `json:"producer"`
	Seq      int64  `json:"seq"` // counts a producer's messages to one queue, from 1
	Nonce    string `json:"nonce"`
}

func (b Body) String() string {
	return fmt.Sprintf("%s/%s/%s/%d/%s", b.Tenant, b.Queue, b.Producer, b.Seq, b.Nonce)
}

// sealed is the JSON form of a body.
type sealed struct {
	Body
	SHA256 string `json:"sha256"`
	Pad    string `json:"pad,omitempty"`
}

// NewNonce returns a nonce that no other message has.
func NewNonce() string { return rand.Text() }

// Make writes the message as a JSON object of exactly size bytes, or without padding
// when size is less than that needs. The hash covers every field and the padding.
func Make(b Body, size int) ([]byte, error) {
	if b.Tenant == "" || b.Queue == "" || b.Producer == "" || b.Nonce == "" || b.Seq < 1 {
		return nil, fmt.Errorf("message body %v is not complete", b)
	}
	s := sealed{Body: b}
	s.SHA256 = s.sum()
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write message body: %w", err)
	}
	const member = len(`,"pad":""`)
	if n := size - len(out) - member; n > 0 {
		s.Pad = padding(b.Nonce, n)
		s.SHA256 = s.sum()
		if out, err = json.Marshal(s); err != nil {
			return nil, fmt.Errorf("write message body: %w", err)
		}
	}
	return out, nil
}

// padding differs between messages and from place to place, so that mixed-up or shifted
// bytes cannot go unnoticed.
func padding(nonce string, n int) string {
	var s strings.Builder
	s.Grow(n + 64)
	for i := 0; s.Len() < n; i++ {
		sum := sha256.Sum256([]byte(nonce + strconv.Itoa(i)))
		s.WriteString(hex.EncodeToString(sum[:]))
	}
	return s.String()[:n]
}

// ErrCorrupt reports a body that is not as Make wrote it.
var ErrCorrupt = errors.New("message body is corrupt")

// Parse reads a body back and verifies its hash. Its errors are ErrCorrupt.
func Parse(text []byte) (Body, error) {
	var s sealed
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Body{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Body{}, fmt.Errorf("%w: bytes after the object", ErrCorrupt)
	}
	if s.SHA256 != s.sum() {
		return Body{}, fmt.Errorf("%w: its hash does not fit", ErrCorrupt)
	}
	return s.Body, nil
}

// sum quotes the fields, so that no two different bodies hash the same text.
func (s sealed) sum() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %q %s", s.Tenant, s.Queue, s.Producer, s.Seq, s.Nonce, s.Pad))
	return hex.EncodeToString(sum[:])
}

// DigestOf condenses a message's body and attributes, both as the bytes of the request
// or answer. Attributes that are absent, null or {} are the same thing.
func DigestOf(body, attributes []byte) string {
	if a := string(bytes.TrimSpace(attributes)); a == "null" || a == "{}" {
		attributes = nil
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d ", len(body)) // a hash never refuses bytes
	h.Write(body)
	h.Write(attributes)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// HandleID is the name under which a handle is recorded.
func HandleID(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return hex.EncodeToString(sum[:8])
}
