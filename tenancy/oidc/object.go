package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects of a token may be nested.
const maxDepth = 16

// object is a JSON object whose names are exact and occur once. encoding/json by itself
// lets the last of two names win, and takes "ISS" for "iss".
type object map[string]json.RawMessage

func readObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := scan(d, 0); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("data after the object")
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errors.New("not an object")
	}
	return o, nil
}

// scan reads one value and refuses names that occur twice in any object of it, however
// they are cased.
func scan(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := t.(string)
			if name = strings.ToLower(name); seen[name] {
				return fmt.Errorf("name %.32q occurs twice", name)
			}
			seen[name] = true
		}
		if err := scan(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// text reads an optional string of at most 255 bytes.
func (o object) text(name string, to *string) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if len(raw) == 0 || raw[0] != '"' {
		return fmt.Errorf("%s is not a string", name)
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(*to) > 255 {
		return fmt.Errorf("%s has %d bytes, more than 255", name, len(*to))
	}
	return nil
}

// texts reads a string or an array of strings.
func (o object) texts(name string) ([]string, error) {
	raw := o[name]
	if len(raw) > 0 && raw[0] == '"' {
		var one string
		err := o.text(name, &one)
		return []string{one}, err
	}
	var many []*string
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil, fmt.Errorf("%s is neither a string nor an array of strings", name)
	}
	all := make([]string, len(many))
	for i, s := range many {
		if s == nil {
			return nil, fmt.Errorf("%s has a null", name)
		}
		all[i] = *s
	}
	return all, nil
}

// date reads an optional number of seconds since 1970. Fractions are cut off.
func (o object) date(name string) (at time.Time, ok bool, err error) {
	raw, ok := o[name]
	if !ok {
		return time.Time{}, false, nil
	}
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return time.Time{}, false, fmt.Errorf("%s is not a number of seconds", name)
	}
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return time.Time{}, false, fmt.Errorf("%s: %w", name, err)
	}
	// The year 5138: far enough, and safe to convert and to add to.
	if seconds > 1e11 {
		return time.Time{}, false, fmt.Errorf("%s is out of range", name)
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), true, nil
}
