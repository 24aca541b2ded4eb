package history

import (
	"errors"
	"strings"
	"testing"
)

func testBody() Body {
	return Body{Tenant: tenant, Queue: "q", Producer: "p", Seq: 7, Nonce: NewNonce()}
}

func TestBodiesHaveTheirSizeAndReadBack(t *testing.T) {
	b := testBody()
	small, err := Make(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{len(small) + 10, len(small) + 11, 4096, 250 << 10} {
		text, err := Make(b, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != size {
			t.Errorf("got %d bytes, want %d", len(text), size)
		}
		if got, err := Parse(text); err != nil || got != b {
			t.Errorf("size %d: got %v, %v, want %v", size, got, err, b)
		}
	}
	if got, err := Parse(small); err != nil || got != b {
		t.Errorf("unpadded: got %v, %v, want %v", got, err, b)
	}
}

func TestIncompleteBodiesAreNotMade(t *testing.T) {
	b := testBody()
	for _, change := range []func(*Body){
		func(b *Body) { b.Tenant = "" }, func(b *Body) { b.Queue = "" }, func(b *Body) { b.Producer = "" },
		func(b *Body) { b.Nonce = "" }, func(b *Body) { b.Seq = 0 },
	} {
		bad := b
		change(&bad)
		if _, err := Make(bad, 100); err == nil {
			t.Errorf("made %+v", bad)
		}
	}
}

func TestChangedBodiesAreCorrupt(t *testing.T) {
	b := testBody()
	text, err := Make(b, 400)
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	for name, changed := range map[string]string{
		"cut":             s[:len(s)-5],
		"empty":           "",
		"followed":        s + "{}",
		"another tenant":  strings.Replace(s, tenant, other, 1),
		"another number":  strings.Replace(s, `"seq":7`, `"seq":8`, 1),
		"padding cut":     s[:len(s)-12] + `"}`,
		"padding shifted": strings.Replace(s, `"pad":"`, `"pad":"0`, 1),
		"another member":  strings.Replace(s, "{", `{"x":1,`, 1),
	} {
		if changed == s {
			t.Fatalf("%s: nothing was changed", name)
		}
		if got, err := Parse([]byte(changed)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, %v, want ErrCorrupt", name, got, err)
		}
	}
}

func TestDigestsCoverBodyAndAttributes(t *testing.T) {
	same := DigestOf([]byte(`"a"`), nil)
	for _, empty := range []string{"{}", "null", ""} {
		if got := DigestOf([]byte(`"a"`), []byte(empty)); got != same {
			t.Errorf("attributes %q: got %s, want %s", empty, got, same)
		}
	}
	for _, d := range []string{DigestOf([]byte(`"b"`), nil), DigestOf([]byte(`"a"`), []byte(`{"k":1}`)), DigestOf([]byte(`"`), []byte(`a"`))} {
		if d == same {
			t.Errorf("another message has the same digest %s", d)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := Make(testBody(), 300)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"seq":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("got error %v, want ErrCorrupt", err)
		}
		if err != nil && b != (Body{}) {
			t.Errorf("got %v with error %v", b, err)
		}
	})
}
