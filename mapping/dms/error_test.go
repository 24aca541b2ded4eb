package dms

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorsNameTheirCodeMessageAndCause(t *testing.T) {
	for want, err := range map[string]error{
		"internal":                        &Error{Code: Internal},
		"bad_label: a tag is 3 too long":  Errorf(BadLabel, "a tag is %d too long", 3),
		"unavailable: EOF":                Wrap(Unavailable, io.EOF),
		"queue_exists: taken: EOF":        &Error{Code: QueueExists, Message: "taken", Err: io.EOF},
		"create: quota_exceeded: too big": fmt.Errorf("create: %w", Errorf(QuotaExceeded, "too big")),
	} {
		if got := err.Error(); got != want {
			t.Errorf("error is %q, want %q", got, want)
		}
	}
}

func TestErrorsAreFoundByCodeAndByCause(t *testing.T) {
	err := fmt.Errorf("send: %w", &Error{Code: Unavailable, Message: "try again", Err: io.EOF})
	for what, row := range map[string]struct {
		target error
		want   bool
	}{
		"its code":               {&Error{Code: Unavailable}, true},
		"another code":           {&Error{Code: Internal}, false},
		"its code and message":   {&Error{Code: Unavailable, Message: "try again"}, false},
		"its code and cause":     {Wrap(Unavailable, io.EOF), false},
		"its cause":              {io.EOF, true},
		"another cause":          {io.ErrUnexpectedEOF, false},
		"an error without codes": {errors.New("unavailable"), false},
	} {
		if got := errors.Is(err, row.target); got != row.want {
			t.Errorf("%s: errors.Is = %t, want %t", what, got, row.want)
		}
	}
	if own, ok := errors.AsType[*Error](err); !ok || own.Message != "try again" || own.Unwrap() != io.EOF {
		t.Errorf("the error in the chain is %+v", own)
	}
	if Wrap(Internal, io.EOF).Message != "" {
		t.Error("a wrapped cause is shown to the caller")
	}
}
