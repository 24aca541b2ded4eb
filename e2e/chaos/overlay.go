package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"dms/e2e"
)

// Builds of the service.
const (
	shipped  = "shipped"
	unsynced = "unsynced" // confirms before it has written, and must lose
	skewed   = "skewed"   // has a clock that skewVariable sets wrong
	crashing = "crashing" // kills itself where crashVariable says, now and then
	stuck    = "stuck"    // loses its storage, and cannot end it, when the file that stuckVariable names is there
)

// stuckVariable names the file that a stuck build waits for.
const stuckVariable = "DMS_STUCK_FILE"

// crashVariable names the point of a request at which a crashing build kills itself.
const crashVariable = "DMS_CRASH_AT"

// skewVariable is by how many seconds the clock of a skewed build is fast.
const skewVariable = "DMS_CLOCK_SKEW"

// change replaces one place of a source file.
type change struct {
	file string // below the product's folder or, if it starts with it, that of Go
	old  *regexp.Regexp
	new  string
}

// fromGo starts the names of files of Go's own source.
const fromGo = "GOROOT/"

// changes says what a build differs in.
func changes(name string) []change {
	switch name {
	case unsynced: // what the product has no option for, and the check that notices
		return []change{
			{"deploy/engine/options.go", regexp.MustCompile(`SyncAlways:\s*true,\s*SyncInterval:\s*10 \* time\.Second`), "SyncAlways: false, SyncInterval: 2 * time.Minute"},
			{"deploy/engine/member.go", regexp.MustCompile(`if !info\.Config\.SyncAlways \{`), "if false {"},
		}
	case skewed: // what the storage asks is this clock too; monotonic times stay right
		return []change{{fromGo + "src/time/time.go", regexp.MustCompile(`func Now\(\) Time \{\n\tsec, nsec, mono := runtimeNow\(\)\n`),
			`var clockSkew = func() int64 {
	text, _ := syscall.Getenv("` + skewVariable + `")
	seconds, _ := atoi(text)
	return int64(seconds)
}()

func Now() Time {
	sec, nsec, mono := runtimeNow()
	sec += clockSkew
`}}
	case stuck:
		return stuckBuild()
	}
	return crashes(name)
}

// overlay writes changed copies into a folder and returns the compiler's flags for a
// build with them. A change that does not fit the source any more is an error: a control
// that is like the product proves nothing.
func overlay(ctx context.Context, name, folder string) ([]string, error) {
	if len(changes(name)) == 0 {
		return nil, nil
	}
	source, err := e2e.Source(ctx)
	if err != nil {
		return nil, err
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find the source of Go: %w", err)
	}
	replace := make(map[string]string)
	for _, c := range changes(name) {
		original := filepath.Join(source, c.file)
		if rest, ok := strings.CutPrefix(c.file, fromGo); ok {
			original = filepath.Join(strings.TrimSpace(string(goroot)), rest)
		}
		from := original
		if changed, ok := replace[original]; ok {
			from = changed // once more
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if n := len(c.old.FindAll(text, -1)); n != 1 {
			return nil, fmt.Errorf("%s has %d places like %s, want 1", c.file, n, c.old)
		}
		text = c.old.ReplaceAllLiteral(text, []byte(c.new))
		if strings.HasPrefix(c.file, fromGo) {
			text = bytes.Replace(text, []byte("import (\n"), []byte("import (\n\t\"syscall\"\n"), 1)
		}
		copied := filepath.Join(folder, filepath.Base(c.file))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
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
