package tenancy

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestProjectIdsHave32LowerCaseHexadecimalDigits(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	for _, s := range []string{id, strings.Repeat("0", 32), strings.Repeat("f", 32)} {
		if got, err := ParseProjectID(s); err != nil || string(got) != s {
			t.Errorf("ParseProjectID(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", id[1:], id + "0", strings.ToUpper(id), id[:31] + "g", id[:31] + "/", id[:31] + ":", id[:31] + "`", id[:31] + "\n",
		" " + id[1:], id[:30] + "é", "../" + id[3:], "01234567-89ab-cdef-0123-456789abcdef", id + "\x00",
	} {
		if got, err := ParseProjectID(s); !errors.Is(err, ErrBadProjectID) || got != "" {
			t.Errorf("ParseProjectID(%q) = %q, %v, want %v", s, got, err, ErrBadProjectID)
		}
	}
}

func FuzzParseProjectID(f *testing.F) {
	f.Add("0123456789abcdef0123456789abcdef")
	f.Add("0123456789ABCDEF0123456789abcdef")
	form := regexp.MustCompile(`\A[0-9a-f]{32}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseProjectID(s)
		if want := form.MatchString(s); (err == nil) != want || want && string(got) != s {
			t.Errorf("ParseProjectID(%q) = %q, %v", s, got, err)
		}
	})
}

func TestLimitsAreChecked(t *testing.T) {
	for what, row := range map[string]struct {
		change func(*Limits)
		ok     bool
	}{
		"defaults":        {func(*Limits) {}, true},
		"no queues":       {func(l *Limits) { l.Queues = 0 }, true},
		"fewer than none": {func(l *Limits) { l.Queues = -1 }, false},
		"most queues":     {func(l *Limits) { l.Queues = 500 }, true},
		"too many queues": {func(l *Limits) { l.Queues = 501 }, false},
		"no groups":       {func(l *Limits) { l.GroupsPerQueue = 0 }, false},
		"one group":       {func(l *Limits) { l.GroupsPerQueue = 1 }, true},
		"most groups":     {func(l *Limits) { l.GroupsPerQueue = 100 }, true},
		"too many groups": {func(l *Limits) { l.GroupsPerQueue = 101 }, false},
		"least bytes":     {func(l *Limits) { l.StoredBytes = 1 << 20 }, true},
		"too few bytes":   {func(l *Limits) { l.StoredBytes = 1<<20 - 1 }, false},
		"negative bytes":  {func(l *Limits) { l.StoredBytes = math.MinInt64 }, false},
		"nothing set":     {func(l *Limits) { *l = Limits{} }, false},
	} {
		l := DefaultLimits()
		row.change(&l)
		if err := l.Validate(); (err == nil) != row.ok {
			t.Errorf("%s: Validate() = %v, want it accepted: %t", what, err, row.ok)
		}
	}
}

func TestTheFootprintLeavesAReserve(t *testing.T) {
	for stored, want := range map[int64]int64{
		1 << 20:    65<<20 + AuditBytes,
		640 << 20:  704<<20 + AuditBytes, // where a tenth begins to be more than 64 MiB
		1000 << 20: 1100<<20 + AuditBytes,
		10 << 30:   11<<30 + AuditBytes,
	} {
		if got := (Limits{StoredBytes: stored}).Footprint(); got != want {
			t.Errorf("footprint of %d is %d, want %d", stored, got, want)
		}
	}
}
