package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

// raw reads a text that is one value.
func raw(text []byte, depth int) ([]byte, int, error) {
	r := NewReader(text)
	value, compact, err := r.Raw(depth)
	if err == nil {
		err = r.End()
	}
	return value, compact, err
}

func TestValuesAreTakenOrRefusedAsJSON(t *testing.T) {
	for _, good := range []string{
		`0`, `-0`, `1`, `-1.5e+10`, `1e400`, `9007199254740993`, `123456789012345678901234567890`, `0.1E-9`,
		`null`, `true`, `false`, `""`, `"\u0000\ud800\"\\\/\b\f\n\r\t"`, `"` + "\u2028\U0001F600\x7f" + `"`,
		`[]`, `{}`, ` [ 1 , 2 ] `, `{"a":1,"a":2,"A":3}`, `{"":{"":[{}]}}`, "\t\r\n 1 \t\r\n",
	} {
		if _, _, err := raw([]byte(good), 10); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	for _, bad := range []string{
		``, ` `, `nul`, `nulll`, `True`, `01`, `-`, `+1`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `--1`,
		`"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", "\"\x00\"", "\"\x1f\"", `'a'`,
		`[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{1:1}`, `{"a":1 "b":2}`, `{]`, `[}`,
		`1 2`, `{}{}`, `[]x`, "\xef\xbb\xbf1", "1\x00", "\x00", "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"",
		"\u00a01", "//x\n1", "/**/1",
	} {
		_, _, err := raw([]byte(bad), 10)
		if e, ok := errors.AsType[*Error](err); !ok || !e.Syntax || e.Text == "" {
			t.Errorf("%q: error is %v, want one about syntax", bad, err)
		}
	}
}

func TestDepthOfRawValuesIsBounded(t *testing.T) {
	for _, pair := range []struct{ open, close string }{{"[", "]"}, {`{"a":`, "}"}} {
		nested := func(n int) []byte {
			return []byte(strings.Repeat(pair.open, n) + "1" + strings.Repeat(pair.close, n))
		}
		if _, _, err := raw(nested(1000), 1000); err != nil {
			t.Errorf("1000 %s are refused: %v", pair.open, err)
		}
		if _, _, err := raw(nested(1001), 1000); err == nil {
			t.Errorf("1001 %s are taken", pair.open)
		}
		if _, _, err := raw(bytes.Repeat([]byte(pair.open), 1_000_000), 1000); err == nil {
			t.Errorf("a million %s are taken", pair.open)
		}
	}
}

func TestDepthOfWalkedValuesIsBounded(t *testing.T) {
	var walk func(r *Reader) error
	walk = func(r *Reader) error {
		if r.Kind() != Array {
			_, err := r.Float("x")
			return err
		}
		return r.Array("x", func(int) error { return walk(r) })
	}
	for depth, ok := range map[int]bool{MaxDepth: true, MaxDepth + 1: false} {
		text := strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth)
		if err := walk(NewReader([]byte(text))); (err == nil) != ok {
			t.Errorf("depth %d: error %v, want none: %v", depth, err, ok)
		}
	}
}

func TestObjectsTakeEachOfTheirNamesOnce(t *testing.T) {
	names := []string{"body", "delay_time", "key"}
	read := func(text string) (seen []int, err error) {
		r := NewReader([]byte(text))
		err = r.Object("it", names, func(i int) error {
			seen = append(seen, i)
			_, _, err := r.Raw(2)
			return err
		})
		if err == nil {
			err = r.End()
		}
		return seen, err
	}
	for text, want := range map[string][]int{
		`{}`:                                  nil,
		` { "key" : 1 , "body" : [ ] } `:      {2, 0},
		`{"b\u006fdy":1,"delay\u005ftime":2}`: {0, 1},
	} {
		got, err := read(text)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: members %v (%v), want %v", text, got, err, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: members %v, want %v", text, got, want)
			}
		}
	}
	for text, part := range map[string]string{
		`{"body":1,"body":2}`:      `member "body" is given twice`,
		`{"body":1,"b\u006fdy":2}`: `member "body" is given twice`,
		`{"Body":1}`:               `member "Body" must be written "body"`,
		`{"\u212aey":1}`:           `must be written "key"`, // the Kelvin sign
		`{"bodies":1}`:             `unknown member "bodies"`,
		`{"":1}`:                   `unknown member ""`,
		`{"` + strings.Repeat("é", 500) + `":1}`: `ééé..."`,
		`[]`:             `it must be an object, not an array`,
		`null`:           `it must be an object, not null`,
		`{"body":1,}`:    `unexpected '}' at byte 11`,
		`{"body"}`:       `unexpected '}' at byte 8`,
		`{"body":1`:      `ends too early`,
		`{"body":1}x`:    `something after the JSON value, at byte 11`,
		``:               `ends too early`,
		"\xef\xbb\xbf{}": `byte order mark`,
		`x`:              `unexpected 'x' at byte 1`,
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error is %v, want one with %q", text, err, part)
		}
	}
}

func TestTypedReadsSayWhatTheyWant(t *testing.T) {
	r := NewReader([]byte(`["x"`))
	err := r.Array("list", func(int) error {
		_, err := r.Bool("return_id")
		return err
	})
	if err == nil || err.Error() != "return_id must be a boolean, not a string" {
		t.Errorf("error is %v", err)
	}
	if f, err := NewReader([]byte("-1e999")).Float("n"); err != nil || !math.IsInf(f, -1) {
		t.Errorf("a number too large is %v (%v), want an infinity", f, err)
	}
	if s, err := NewReader([]byte(`"a\ud800\u00e9\ud83d\ude00"`)).Text("s"); err != nil || s != "a\uFFFDé😀" {
		t.Errorf("the text is %q (%v)", s, err)
	}
	if null, err := NewReader([]byte("nule")).Null(); null != true || err == nil {
		t.Errorf("a broken null reads as %v, %v", null, err)
	}
}

func TestRawValuesAreNotCopied(t *testing.T) {
	text := []byte(` {"a" : [1, 2]} `)
	value, compact, err := raw(text, 3)
	if err != nil {
		t.Fatal(err)
	}
	if string(value) != `{"a" : [1, 2]}` || compact != len(`{"a":[1,2]}`) {
		t.Errorf("value is %q with %d bytes compact", value, compact)
	}
	if &value[0] != &text[1] || cap(value) != len(value) {
		t.Error("the value is not a full slice of the text")
	}
}

// FuzzRaw holds the reader against the standard library: we take what it takes, but
// for bad UTF-8 and depth, and agree on the size of the compact form.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00e9\n",true,null]}`, ` [ ] `, `1e400`, `"\ud800"`, "\"\xff\"", `[[[[[[[[[`, `{"a":1}}`, "\xef\xbb\xbf{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		value, compact, err := raw(text, 1000)
		valid := json.Valid(text) && utf8.Valid(text)
		switch {
		case err == nil && !valid:
			t.Fatalf("taken, but it is not JSON in UTF-8: %q", text)
		case err != nil && valid && nesting(text) <= 1000:
			t.Fatalf("refused with %v, but it is JSON: %q", err, text)
		case err != nil:
			if e, ok := errors.AsType[*Error](err); !ok || !utf8.ValidString(e.Text) || len(e.Text) > 200 {
				t.Fatalf("the error is not fit to be shown: %q", err)
			}
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		if compact != want.Len() {
			t.Fatalf("the compact size is %d, want %d: %q", compact, want.Len(), text)
		}
		if !bytes.Equal(value, bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("the value is %q of %q", value, text)
		}
	})
}

// nesting is an upper bound of how deep a text nests.
func nesting(text []byte) (deepest int) {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// FuzzObject holds walking an object against decoding it into a map.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x"}`, `{"A":1}`, `{"a":1,"a":2}`, `{"\u0061":true}`, ` {} `, `[]`, `{"a":}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		names := []string{"a", "b"}
		got := make(map[string]string)
		r := NewReader(text)
		err := r.Object("it", names, func(i int) error {
			value, _, err := r.Raw(100)
			got[names[i]] = string(value)
			return err
		})
		if err == nil {
			err = r.End()
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("taken, but %v: %q", err, text)
		}
		if len(got) != len(want) {
			t.Fatalf("members %v, want %v", got, want)
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Fatalf("member %s is %q, want %q", name, got[name], value)
			}
		}
	})
}

func BenchmarkRaw(b *testing.B) {
	text := []byte(`{"order":4711,"lines":[` + strings.Repeat(`{"sku":"ABC-123","quantity":2,"price":19.99,"note":"caf\u00e9 – ok"},`, 99) + `{}]}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := NewReader(text).Raw(10); err != nil {
			b.Fatal(err)
		}
	}
}
