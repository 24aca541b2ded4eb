package facade

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLabelsAreTakenFromTheEndOfAPayloadOnly(t *testing.T) {
	for payload, want := range map[string]string{
		`{"body":1}`:                                   `{"body":1}`,
		`{"body":1,"tags":["a"]}`:                      `{"body":1}`,
		`{"body":1,"tags":["a-b_C9","x","y"]}`:         `{"body":1}`,
		`{"body":1,"attributes":{"a":1},"tags":["a"]}`: `{"body":1,"attributes":{"a":1}}`,
		`{"body":["a"]}`:                               `{"body":["a"]}`,
		`{"body":["tags",["a"]]}`:                      `{"body":["tags",["a"]]}`,
		`{"body":{"x":1,"tags":["a"]}}`:                `{"body":{"x":1,"tags":["a"]}}`,
		`{"body":{"x":1,"tags":["a"]},"tags":["b"]}`:   `{"body":{"x":1,"tags":["a"]}}`,
		`{"body":1,"attributes":{"x":1,"tags":["a"]}}`: `{"body":1,"attributes":{"x":1,"tags":["a"]}}`,
		`{"body":"x\",\"tags\":[\"a\"]}"}`:             `{"body":"x\",\"tags\":[\"a\"]}"}`,
		`{"body":[",\"tags\":[","a"]}`:                 `{"body":[",\"tags\":[","a"]}`,
		`{"body":["\",\"tags\":[\"a"]}`:                `{"body":["\",\"tags\":[\"a"]}`,
		`{"body":[""]}`:                                `{"body":[""]}`,
		``:                                             ``,
		`"]}`:                                          `"]}`,
	} {
		before := strings.Clone(payload)
		in := []byte(payload)
		if got := withoutLabels(in); string(got) != want {
			t.Errorf("withoutLabels(%s) = %s, want %s", payload, got, want)
		}
		if string(in) != before {
			t.Errorf("the stored payload was changed to %s", in)
		}
	}
}

// FuzzWithoutLabels checks that stripping undoes exactly what assembling added, for
// any body and attributes.
func FuzzWithoutLabels(f *testing.F) {
	f.Add([]byte(`["a"]`), []byte(`{"tags":["a"]}`), "a", "b", uint8(2))
	f.Add([]byte(`",\"tags\":[\"a\"]}"`), []byte(nil), "x", "", uint8(1))
	f.Add([]byte(`{"x":1,"tags":["a"]}`), []byte(`{}`), "", "", uint8(0))
	f.Fuzz(func(t *testing.T, body, attributes []byte, l1, l2 string, n uint8) {
		if !json.Valid(body) || bytes.TrimSpace(body) == nil {
			return
		}
		if !json.Valid(attributes) || attributes[0] != '{' || attributes[len(attributes)-1] != '}' {
			attributes = nil
		}
		var labels []string
		for _, l := range []string{l1, l2}[:n%3] {
			labels, _ = addLabel(labels, l)
		}
		want := payload(body, attributes, nil)
		if got := withoutLabels(payload(body, attributes, labels)); !bytes.Equal(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}
