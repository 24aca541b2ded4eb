package strictjson

import (
	"bytes"
	"unicode/utf8"
)

// space skips white space and returns how much there was.
func (r *Reader) space() int {
	start := r.pos
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return r.pos - start
		}
	}
	return r.pos - start
}

// next skips white space and returns the byte after it, 0 at the end. A NUL in the
// text is no JSON either, so that the two need not be told apart.
func (r *Reader) next() byte {
	r.space()
	return r.at(r.pos)
}

func (r *Reader) at(i int) byte {
	if i < len(r.data) {
		return r.data[i]
	}
	return 0
}

func (r *Reader) unexpected() error {
	switch {
	case r.pos >= len(r.data):
		return syntax("the JSON ends too early, after %d bytes", len(r.data))
	case r.pos == 0 && bytes.HasPrefix(r.data, []byte("\xef\xbb\xbf")):
		return syntax("the JSON starts with a byte order mark")
	}
	return syntax("unexpected %q at byte %d of the JSON", r.data[r.pos], r.pos+1)
}

// skip reads one value that may nest depth deep and returns how many bytes of white
// space it holds.
func (r *Reader) skip(depth int) (blanks int, err error) {
	switch r.Kind() {
	case String:
		_, err = r.string()
		return 0, err
	case Number:
		return 0, r.number()
	case Null:
		return 0, r.literal("null")
	case Bool:
		if r.data[r.pos] == 't' {
			return 0, r.literal("true")
		}
		return 0, r.literal("false")
	case Array:
		return r.skipMembers(depth, ']')
	case Object:
		return r.skipMembers(depth, '}')
	}
	return 0, r.unexpected()
}

// skipMembers reads an array or an object, whose closing byte is given.
func (r *Reader) skipMembers(depth int, closing byte) (blanks int, err error) {
	if depth--; depth < 0 {
		return 0, syntax("a value is nested too deeply")
	}
	r.pos++
	blanks = r.space()
	if r.at(r.pos) == closing {
		r.pos++
		return blanks, nil
	}
	for {
		if closing == '}' {
			if r.at(r.pos) != '"' {
				return 0, r.unexpected()
			}
			if _, err := r.string(); err != nil {
				return 0, err
			}
			blanks += r.space()
			if r.at(r.pos) != ':' {
				return 0, r.unexpected()
			}
			r.pos++
			blanks += r.space()
		}
		inner, err := r.skip(depth)
		if err != nil {
			return 0, err
		}
		blanks += inner + r.space()
		switch r.at(r.pos) {
		case ',':
			r.pos++
			blanks += r.space()
		case closing:
			r.pos++
			return blanks, nil
		default:
			return 0, r.unexpected()
		}
	}
}

func (r *Reader) literal(word string) error {
	for i := range len(word) {
		if r.at(r.pos) != word[i] {
			return r.unexpected()
		}
		r.pos++
	}
	return nil
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (r *Reader) number() error {
	if r.at(r.pos) == '-' {
		r.pos++
	}
	if r.at(r.pos) == '0' {
		r.pos++
	} else if err := r.digits(); err != nil {
		return err
	}
	if r.at(r.pos) == '.' {
		r.pos++
		if err := r.digits(); err != nil {
			return err
		}
	}
	if c := r.at(r.pos); c == 'e' || c == 'E' {
		r.pos++
		if c := r.at(r.pos); c == '+' || c == '-' {
			r.pos++
		}
		return r.digits()
	}
	return nil
}

func (r *Reader) digits() error {
	start := r.pos
	for r.at(r.pos) >= '0' && r.at(r.pos) <= '9' {
		r.pos++
	}
	if r.pos == start {
		return r.unexpected()
	}
	return nil
}

// string reads a string literal, quotes included, and reports whether its bytes mean
// themselves. An escaped half of a surrogate pair is well-formed.
func (r *Reader) string() (plain bool, err error) {
	plain = true
	data, i := r.data, r.pos+1
	for i < len(data) {
		switch c := data[i]; {
		case c == '"':
			r.pos = i + 1
			return plain, nil
		case c == '\\':
			plain = false
			n, ok := escape(data[i:])
			if !ok {
				r.pos = min(i+1, len(data))
				return false, r.unexpected()
			}
			i += n
		case c < 0x20:
			return false, syntax("a control character stands unescaped in a string, at byte %d of the JSON", i+1)
		case c < utf8.RuneSelf:
			i++
		default:
			rune, n := utf8.DecodeRune(data[i:])
			if rune == utf8.RuneError && n == 1 {
				return false, syntax("the JSON is not valid UTF-8 at byte %d", i+1)
			}
			i += n
		}
	}
	r.pos = len(data)
	return false, r.unexpected()
}

// escape returns the length of the escape sequence that s starts with.
func escape(s []byte) (n int, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, true
	case 'u':
		if len(s) < 6 {
			return 0, false
		}
		for _, c := range s[2:6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0, false
			}
		}
		return 6, true
	}
	return 0, false
}
