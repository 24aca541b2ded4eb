package dms

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestNewIdsAreCanonicalAndDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		q, g := NewQueueID(), NewGroupID()
		if got, err := ParseQueueID(string(q)); err != nil || got != q {
			t.Errorf("ParseQueueID(%s) = %s, %v", q, got, err)
		}
		if got, err := ParseGroupID(string(g)); err != nil || got != g {
			t.Errorf("ParseGroupID(%s) = %s, %v", g, got, err)
		}
		if seen[string(q)] || seen[string(g)] {
			t.Errorf("%s or %s was given before", q, g)
		}
		seen[string(q)], seen[string(g)] = true, true
	}
}

func TestIdsOfAnyOtherFormAreRefused(t *testing.T) {
	const id = "0f8b2d3c-51e6-4a70-9b1d-c2f3a4b5d6e7"
	for _, s := range []string{
		"", "-", id[1:], id + "0", " " + id[1:], id + "\n", strings.ToUpper(id), strings.ReplaceAll(id, "-", ""),
		"{" + id + "}", "urn:uuid:" + id, strings.Replace(id, "-", "_", 1), id[:35] + "g", id[:34] + "é",
		id[:9] + "-" + id[10:], "g-" + id, strings.Repeat("-", 36), strings.Repeat("0", 36), id[:35] + ".", id[:35] + "*",
	} {
		_, err := ParseQueueID(s)
		wantCode(t, "queue "+s, err, BadQueueID)
		if s == "g-"+id {
			continue
		}
		for _, prefix := range []string{"", "g-"} {
			_, err = ParseGroupID(prefix + s)
			wantCode(t, "group "+prefix+s, err, BadGroupID)
		}
	}
	for _, s := range []string{id, "G-" + id, "g_" + id, "g" + id, "g-g-" + id, "g- " + id} {
		_, err := ParseGroupID(s)
		wantCode(t, "group "+s, err, BadGroupID)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0f8b2d3c-51e6-4a70-9b1d-c2f3a4b5d6e7")
	f.Add("g-0f8b2d3c-51e6-4a70-9b1d-c2f3a4b5d6e7")
	f.Add("0F8B2D3C-51E6-4A70-9B1D-C2F3A4B5D6E7")
	form := regexp.MustCompile(`\A(g-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		q, qerr := ParseQueueID(s)
		g, gerr := ParseGroupID(s)
		m := form.FindStringSubmatch(s)
		if want := m != nil && m[1] == ""; (qerr == nil) != want || want && string(q) != s {
			t.Errorf("ParseQueueID(%q) = %q, %v", s, q, qerr)
		}
		if want := m != nil && m[1] != ""; (gerr == nil) != want || want && string(g) != s {
			t.Errorf("ParseGroupID(%q) = %q, %v", s, g, gerr)
		}
		if qerr == nil && uuid.Validate(s) != nil {
			t.Errorf("%q is taken for a UUID", s)
		}
	})
}
