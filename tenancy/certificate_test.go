package tenancy

import (
	"strings"
	"testing"
)

func TestThumbprintsAreReadAndWritten(t *testing.T) {
	// The example of RFC 8705, section 3.1, whose last letter has a spare bit set.
	got, err := ParseThumbprint("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")
	if err != nil {
		t.Fatal(err)
	}
	if want := "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0"; got.String() != want || got.IsZero() || !got.Equal(got) {
		t.Errorf("got %s, want %s", got, want)
	}
	one, two := ThumbprintOf([]byte("a")), ThumbprintOf([]byte("b"))
	if one.Equal(two) || !one.Equal(ThumbprintOf([]byte("a"))) {
		t.Error("thumbprints are not those of their certificates")
	}
	if (Thumbprint{}).String() != "" || !(Thumbprint{}).IsZero() {
		t.Error("the zero thumbprint looks like one")
	}
}

func TestOtherTextsAreNoThumbprints(t *testing.T) {
	good := ThumbprintOf([]byte("a")).String()
	for name, s := range map[string]string{
		"empty": "", "short": good[:42], "long": good + "A", "padded": good + "=", "a blank": " " + good,
		"a line break": good + "\n", "a line break inside": good[:10] + "\r\n" + good[10:],
		"of the standard alphabet": strings.Repeat("+", 43), "hexadecimal": strings.Repeat("ab", 32),
		"zero": strings.Repeat("A", 43),
	} {
		if got, err := ParseThumbprint(s); err == nil || !got.IsZero() {
			t.Errorf("%s: got %s, %v, want an error", name, got, err)
		}
	}
}

func FuzzParseThumbprint(f *testing.F) {
	f.Add(ThumbprintOf([]byte("a")).String())
	f.Add(strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseThumbprint(s)
		if err != nil {
			return
		}
		if again, err := ParseThumbprint(got.String()); err != nil || again != got || got.String()[:42] != s[:42] {
			t.Errorf("%q is read as %q", s, got)
		}
	})
}
