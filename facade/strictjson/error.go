package strictjson

import (
	"fmt"
	"unicode/utf8"
)

// Error says why a text was refused. Its sentence may be shown to whoever sent it.
type Error struct {
	// Syntax tells a text that is not JSON, or not UTF-8, or nested too deeply, from
	// well-formed JSON with members the reader does not take.
	Syntax bool
	Text   string
}

func (e *Error) Error() string { return e.Text }

func syntax(format string, args ...any) error {
	return &Error{Syntax: true, Text: fmt.Sprintf(format, args...)}
}

func shape(format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...)}
}

// maxShownName bounds how much of a member name an error repeats.
const maxShownName = 64

func shown(name []byte) string {
	if len(name) <= maxShownName {
		return string(name)
	}
	cut := maxShownName
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return string(name[:cut]) + "..."
}
