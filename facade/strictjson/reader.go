package strictjson

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// MaxDepth is how deeply objects and arrays that the caller walks may nest. Values
// read with Raw have their own bound.
const MaxDepth = 32

// Kind is the kind of a JSON value.
type Kind byte

// The kinds, named by their first byte where that is telling.
const (
	End    Kind = 0 // no value: the text ends here
	Null   Kind = 'n'
	Bool   Kind = 't'
	Number Kind = '0'
	String Kind = '"'
	Array  Kind = '['
	Object Kind = '{'
	wrong  Kind = '?' // no JSON value starts like this
)

func (k Kind) String() string {
	switch k {
	case End:
		return "nothing"
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	}
	return "no JSON value"
}

// Reader walks one JSON text from its start to its end. Every method that reads a
// value consumes it. The text must not change while the reader or what it returned
// is in use.
type Reader struct {
	data  []byte
	pos   int
	depth int
	names []byte // member name being compared, when it had to be unescaped
}

// NewReader returns a reader of data. The caller bounds the size of data.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// Kind returns the kind of the next value without reading it.
func (r *Reader) Kind() Kind {
	r.space()
	if r.pos >= len(r.data) {
		return End
	}
	switch c := r.data[r.pos]; {
	case c == '"', c == '[', c == '{', c == 'n':
		return Kind(c)
	case c == 't', c == 'f':
		return Bool
	case c == '-', c >= '0' && c <= '9':
		return Number
	}
	return wrong
}

// want fails unless the next value is of kind k.
func (r *Reader) want(k Kind, what string) error {
	switch got := r.Kind(); got {
	case k:
		return nil
	case End:
		return r.unexpected()
	case wrong:
		return r.unexpected()
	default:
		return shape("%s must be %v, not %v", what, k, got)
	}
}

// Object reads an object whose members have the given names, calling member with the
// index of each name as it appears; member must read the value. A name that is not in
// the list, that differs from one only in case, or that appears twice is refused.
// There may be at most 64 names.
func (r *Reader) Object(what string, names []string, member func(i int) error) error {
	if err := r.want(Object, what); err != nil {
		return err
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	r.pos++
	if r.next() == '}' {
		r.pos++
		return nil
	}
	var seen uint64
	for {
		i, err := r.name(names)
		if err != nil {
			return err
		}
		if seen&(1<<i) != 0 {
			return shape("member %q is given twice", names[i])
		}
		seen |= 1 << i
		if err := member(i); err != nil {
			return err
		}
		switch r.next() {
		case ',':
			r.pos++
			r.space()
		case '}':
			r.pos++
			return nil
		default:
			return r.unexpected()
		}
	}
}

// name reads a member name and the colon after it.
func (r *Reader) name(names []string) (int, error) {
	if r.next() != '"' {
		return 0, r.unexpected()
	}
	start := r.pos
	plain, err := r.string()
	if err != nil {
		return 0, err
	}
	got := r.data[start+1 : r.pos-1]
	if !plain {
		r.names = r.names[:0]
		s, err := unescape(r.data[start:r.pos])
		if err != nil {
			return 0, err
		}
		r.names = append(r.names, s...)
		got = r.names
	}
	if r.next() != ':' {
		return 0, r.unexpected()
	}
	r.pos++
	for i, name := range names {
		if string(got) == name {
			return i, nil
		}
	}
	for _, name := range names {
		if bytes.EqualFold(got, []byte(name)) {
			return 0, shape("member %q must be written %q", shown(got), name)
		}
	}
	return 0, shape("unknown member %q", shown(got))
}

// Array reads an array, calling element for each one; element must read the value.
func (r *Reader) Array(what string, element func(i int) error) error {
	if err := r.want(Array, what); err != nil {
		return err
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	r.pos++
	if r.next() == ']' {
		r.pos++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		switch r.next() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return nil
		default:
			return r.unexpected()
		}
	}
}

// Null reads a null if one is next, and reports whether it did.
func (r *Reader) Null() (bool, error) {
	if r.Kind() != Null {
		return false, nil
	}
	return true, r.literal("null")
}

// Bool reads a boolean.
func (r *Reader) Bool(what string) (bool, error) {
	if err := r.want(Bool, what); err != nil {
		return false, err
	}
	if r.data[r.pos] == 't' {
		return true, r.literal("true")
	}
	return false, r.literal("false")
}

// Text reads a string. Escapes of half a surrogate pair become U+FFFD.
func (r *Reader) Text(what string) (string, error) {
	if err := r.want(String, what); err != nil {
		return "", err
	}
	start := r.pos
	plain, err := r.string()
	if err != nil {
		return "", err
	}
	if plain {
		return string(r.data[start+1 : r.pos-1]), nil
	}
	return unescape(r.data[start:r.pos])
}

// Float reads a number. One that no float64 can hold becomes an infinity.
func (r *Reader) Float(what string) (float64, error) {
	if err := r.want(Number, what); err != nil {
		return 0, err
	}
	start := r.pos
	if err := r.number(); err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(r.data[start:r.pos]), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, syntax("a number cannot be read: %v", err)
	}
	return f, nil
}

// Raw reads any value and returns its bytes as they stand in the text, and how many
// of them are not insignificant white space. The value may nest maxDepth deep and may
// repeat members; it is well-formed JSON in UTF-8.
func (r *Reader) Raw(maxDepth int) (raw []byte, compact int, err error) {
	r.space()
	start := r.pos
	blanks, err := r.skip(maxDepth)
	if err != nil {
		return nil, 0, err
	}
	raw = r.data[start:r.pos:r.pos]
	return raw, len(raw) - blanks, nil
}

// End fails unless nothing but white space is left.
func (r *Reader) End() error {
	r.space()
	if r.pos < len(r.data) {
		return syntax("there is something after the JSON value, at byte %d", r.pos+1)
	}
	return nil
}

func (r *Reader) enter() error {
	if r.depth++; r.depth > MaxDepth {
		return syntax("the JSON is nested more than %d deep", MaxDepth)
	}
	return nil
}

func (r *Reader) leave() { r.depth-- }

// unescape decodes a string literal that scanning has found well-formed.
func unescape(literal []byte) (string, error) {
	var s string
	if err := json.Unmarshal(literal, &s); err != nil {
		return "", syntax("a string cannot be read")
	}
	return s, nil
}
