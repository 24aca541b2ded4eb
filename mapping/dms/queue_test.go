package dms

import (
	"errors"
	"strings"
	"testing"
)

// wantCode checks that err has the code and a sentence for the caller; an empty code
// means no error.
func wantCode(t *testing.T, what string, err error, want Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	own, ok := errors.AsType[*Error](err)
	if !ok || own.Code != want || own.Message == "" {
		t.Errorf("%s: error is %v, want code %s with a message", what, err, want)
	}
}

const plainChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func TestNamesAndLabelsHoldPlainCharactersOnly(t *testing.T) {
	queueName := func(s string) error { return NewQueue{Name: s, Mode: Normal}.Validate() }
	for _, c := range []struct {
		what          string
		check         func(string) error
		longest       int
		length, chars Code
	}{
		{"queue name", queueName, 64, BadQueueName, BadNameChars},
		{"group name", ValidateGroupName, 32, BadGroupName, BadNameChars},
		{"label", ValidateLabel, 64, BadLabel, BadLabel},
	} {
		wantCode(t, c.what+" left empty", c.check(""), c.length)
		wantCode(t, c.what+" at its longest", c.check(strings.Repeat("a", c.longest)), "")
		wantCode(t, c.what+" too long", c.check(strings.Repeat("a", c.longest+1)), c.length)
		for b := range 256 {
			want := c.chars
			if strings.IndexByte(plainChars, byte(b)) >= 0 {
				want = ""
			}
			wantCode(t, c.what+" of one byte", c.check(string([]byte{byte(b)})), want)
			wantCode(t, c.what+" with it in the middle", c.check("a"+string([]byte{byte(b)})+"a"), want)
		}
		for _, s := range []string{"é", "日本", "a\u200bb", "\u212a"} { // a space of no width, and the Kelvin sign
			wantCode(t, c.what+" "+s, c.check(s), c.chars)
		}
	}
}

func TestNewQueuesAreChecked(t *testing.T) {
	text := func(s string) *string { return &s }
	for what, row := range map[string]struct {
		q    NewQueue
		want Code
	}{
		"normal":                       {NewQueue{Name: "q", Mode: Normal}, ""},
		"fifo":                         {NewQueue{Name: "q", Mode: FIFO, MaxConsumeCount: 1}, ""},
		"no mode":                      {NewQueue{Name: "q"}, BadManageBody},
		"mode in lower case":           {NewQueue{Name: "q", Mode: "fifo"}, BadManageBody},
		"mode of another service":      {NewQueue{Name: "q", Mode: "KAFKA_HA"}, BadManageBody},
		"empty description":            {NewQueue{Name: "q", Mode: Normal, Description: text("")}, ""},
		"longest description":          {NewQueue{Name: "q", Mode: Normal, Description: text(strings.Repeat("é", 160))}, ""},
		"description too long":         {NewQueue{Name: "q", Mode: Normal, Description: text(strings.Repeat("a", 161))}, BadDescription},
		"description with <":           {NewQueue{Name: "q", Mode: Normal, Description: text("a<b")}, BadDescChars},
		"description with >":           {NewQueue{Name: "q", Mode: Normal, Description: text(">")}, BadDescChars},
		"description with other signs": {NewQueue{Name: "q", Mode: Normal, Description: text("a & b = \"c\"\n")}, ""},
		"most failures":                {NewQueue{Name: "q", Mode: Normal, MaxConsumeCount: 100}, ""},
		"too many failures":            {NewQueue{Name: "q", Mode: Normal, MaxConsumeCount: 101}, BadMaxConsume},
		"fewer than no failures":       {NewQueue{Name: "q", Mode: Normal, MaxConsumeCount: -1}, BadMaxConsume},
	} {
		wantCode(t, what, row.q.Validate(), row.want)
	}
}

func TestOnlyQueuesWithACountHaveDeadLetters(t *testing.T) {
	for count, want := range map[int]bool{0: false, 1: true, 100: true} {
		if got := (NewQueue{MaxConsumeCount: count}).DeadLetters(); got != want {
			t.Errorf("count %d: DeadLetters() = %t, want %t", count, got, want)
		}
	}
}
