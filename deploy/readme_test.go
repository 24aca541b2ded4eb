package deploy_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dms/deploy"

	"github.com/google/go-cmp/cmp"
)

// A newcomer who types the quick start sees what the page shows, but for ids, handlers, secrets and times.
func TestQuickStartDoesWhatThePageShows(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(moduleRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, want := markedBlocks(string(page), "quick start"), markedBlocks(string(page), "output")
	if script == "" || want == "" {
		t.Fatal("the page has no marked blocks")
	}
	folder := t.TempDir()
	runDev(t, filepath.Join(folder, ".dms"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, got, stderr.Bytes())
	}
	if diff := cmp.Diff(shape(want), shape(string(got))); diff != "" {
		t.Errorf("answers (-page +service):\n%s", diff)
	}
	if stderr.Len() > 0 {
		t.Errorf("the commands complain:\n%s", stderr.Bytes())
	}
}

func TestShapeKeepsEverythingButIdsAndHandlers(t *testing.T) {
	in := `[{"id":"g-0f8fad5b-d9cb-469f-a165-70867728950e","n":1,"handler":"AQ_x-9","sent":"2026-01-31T12:00:00.123Z","created":1769860800000,"next":"AQ"}]` + "\n\n" +
		`{"id":"5XK2W0QZ7TJ4N9LRB3CM","at":"2026-01-31T12:00:00Z","end":"2099-12-31T00:00:00Z"}`
	want := []string{`[{"id":"g-ID","n":1,"handler":"HANDLER","sent":"NOW","created":TIME,"next":"NEXT"}]`, `{"id":"KEY","at":"NOW","end":"2099-12-31T00:00:00Z"}`}
	if got := shape(in); !cmp.Equal(got, want) {
		t.Errorf("shape is %q, want %q", got, want)
	}
}

// runDev runs what "make run" runs, on free ports.
func runDev(t *testing.T, folder string) {
	t.Helper()
	d, err := deploy.NewDev(t.Context(), deploy.DevOptions{
		Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: folder, DiskLimit: 1 << 30,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { // ends through cancel, in the clean-up
		done <- d.Run(ctx, func() error {
			defer close(ready)
			return d.WriteEnv()
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("dev: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil // for the clean-up
		t.Fatalf("dev ended before it was ready: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("dev is not ready after a minute")
	}
}

// markedBlocks joins the fenced blocks that follow a comment with the mark.
func markedBlocks(page, mark string) string {
	var b strings.Builder
	for _, part := range strings.Split(page, "<!-- "+mark+" -->\n")[1:] {
		_, block, ok := strings.Cut(part, "```")
		if !ok {
			continue
		}
		_, block, _ = strings.Cut(block, "\n") // the language
		block, _, _ = strings.Cut(block, "```")
		b.WriteString(block)
	}
	return b.String()
}

// shape returns the lines of an output with all that differs from run to run replaced.
func shape(output string) (lines []string) {
	id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	handler := regexp.MustCompile(`"handler":"[A-Za-z0-9_-]+"`)
	// Of access keys; a time that the page itself asks for is not one of now.
	key := regexp.MustCompile(`"id":"[A-Z0-9]{20}"`)
	secret := regexp.MustCompile(`"secret":"[A-Za-z0-9]{40}"`)
	now := regexp.MustCompile(`"20[0-8][0-9]-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"`)
	moment := regexp.MustCompile(`\b\d{13}\b`)
	next := regexp.MustCompile(`"next":"[A-Za-z0-9_-]+"`)
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			line = handler.ReplaceAllString(id.ReplaceAllString(line, "ID"), `"handler":"HANDLER"`)
			line = secret.ReplaceAllString(key.ReplaceAllString(line, `"id":"KEY"`), `"secret":"SECRET"`)
			line = next.ReplaceAllString(moment.ReplaceAllString(line, "TIME"), `"next":"NEXT"`)
			lines = append(lines, now.ReplaceAllString(line, `"NOW"`))
		}
	}
	return lines
}
