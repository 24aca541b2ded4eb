package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"dms/e2e"
)

// Builds of the service.
const (
	shipped  = "shipped"
	unsynced = "unsynced" // confirms before it has written, and must lose
)

// change replaces one place of a source file of the product.
type change struct {
	file string
	old  *regexp.Regexp
	new  string
}

// unsyncing takes out what the product has no option for, and the check that notices.
func unsyncing() []change {
	return []change{
		{"deploy/engine/options.go", regexp.MustCompile(`SyncAlways:\s*true,\s*SyncInterval:\s*10 \* time\.Second`), "SyncAlways: false, SyncInterval: 2 * time.Minute"},
		{"deploy/engine/member.go", regexp.MustCompile(`if !info\.Config\.SyncAlways \{`), "if false {"},
	}
}

// overlay writes changed copies into a folder and returns the compiler's flags for a
// build with them. A change that does not fit the source any more is an error: a control
// that is like the product proves nothing.
func overlay(ctx context.Context, folder string) ([]string, error) {
	source, err := e2e.Source(ctx)
	if err != nil {
		return nil, err
	}
	replace := make(map[string]string)
	for _, c := range unsyncing() {
		original := filepath.Join(source, c.file)
		text, err := os.ReadFile(original)
		if err != nil {
			return nil, err
		}
		if n := len(c.old.FindAll(text, -1)); n != 1 {
			return nil, fmt.Errorf("%s has %d places like %s, want 1", c.file, n, c.old)
		}
		copied := filepath.Join(folder, filepath.Base(c.file))
		if err := os.WriteFile(copied, c.old.ReplaceAllLiteral(text, []byte(c.new)), 0o600); err != nil {
			return nil, err
		}
		replace[original] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	return []string{"-overlay", path}, nil
}
