package facade

import (
	"bytes"
	"strings"
)

// What stands around the labels of a payload.
const (
	labelsStart = `,"tags":["`
	labelsEnd   = `"]}`
)

// withoutLabels returns a payload without its labels, copying it only if it has any.
// Labels are the last member, written compactly, of characters that need no escaping.
// So nothing else can end a payload like them: attributes end in "}}", and a body
// that ends in `"]}` without labels is an array that is preceded by "body", not by
// "tags".
func withoutLabels(payload []byte) []byte {
	rest, ok := bytes.CutSuffix(payload, []byte(labelsEnd))
	if !ok {
		return payload
	}
	for {
		i := len(rest)
		for i > 0 && labelChar(rest[i-1]) {
			i--
		}
		if i == len(rest) {
			return payload // an empty string is no label
		}
		rest = rest[:i]
		if before, ok := bytes.CutSuffix(rest, []byte(labelsStart)); ok {
			stripped := make([]byte, 0, len(before)+1)
			stripped = append(stripped, before...)
			return append(stripped, '}')
		}
		if rest, ok = bytes.CutSuffix(rest, []byte(`","`)); !ok {
			return payload
		}
	}
}

func labelChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_", c) >= 0
}
