package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dms/deploy"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// execute runs a command line to its end.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodesTellUsageFromFailure(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("nod: n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"", exitOK, ""},
		{"--help", exitOK, ""},
		{"version", exitOK, ""},
		{"keys", exitOK, ""},
		{"nonsense", exitUsage, `"nonsense" is not understood here`},
		{"version extra", exitUsage, `"extra" is not understood here`},
		{"version --nonsense", exitUsage, "unknown flag"},
		{"keys init", exitUsage, "--dir is missing"},
		{"keys rotate --dir " + dir + "/keys", exitUsage, "sealing or store"},
		{"keys rotate store", exitUsage, "--dir is missing"},
		{"keys rotate --dir " + dir + "/absent store", exitFailure, "key material is missing"},
		{"keys nonsense", exitUsage, `"nonsense" is not understood here`},
		{"serve", exitUsage, "--config is missing"},
		{"serve --config " + dir + "/absent.yaml", exitFailure, "no such file"},
		{"serve --config " + broken, exitFailure, `line 1: unknown key "nod"`},
		{"dev --listen 0.0.0.0:0 --data " + dir + "/dev", exitFailure, "127.0.0.1 only"},
		{"dev --log-level loud --data " + dir + "/dev", exitUsage, "log.level"},
	} {
		code, _, stderr := execute(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stderr, tt.stderr) || tt.code == exitOK && stderr != "" {
			t.Errorf("dms %s: exit code %d, standard error %q; want %d and %q", tt.args, code, stderr, tt.code, tt.stderr)
		}
	}
}

func TestVersionSpeaksToPrograms(t *testing.T) {
	code, stdout, _ := execute(t, "version", "--json")
	var got deploy.BuildInfo
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %q: %v", code, stdout, err)
	}
	if got != deploy.Build() {
		t.Errorf("got %+v, want %+v", got, deploy.Build())
	}
	if !strings.HasPrefix(got.Go, "go1.") {
		t.Errorf("the Go version is %q", got.Go)
	}
}

func TestKeysAreNeverOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if code, stdout, stderr := execute(t, "keys", "init", "--dir", dir); code != exitOK || !strings.Contains(stdout, dir) {
		t.Fatalf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if code, _, stderr := execute(t, "keys", "init", "--dir", dir); code != exitFailure || !strings.Contains(stderr, "never overwritten") {
		t.Errorf("a second time: exit code %d, %q, want a failure", code, stderr)
	}
	if code, stdout, stderr := execute(t, "keys", "rotate", "--dir", dir, "store"); code != exitOK || !strings.Contains(stdout, "key 1 is the newest") {
		t.Errorf("rotate: exit code %d, %q, %q", code, stdout, stderr)
	}
}

// dev says when it serves, does so, and ends in order when it is asked to.
func TestDevServesUntilItIsStopped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".dms")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() { // ends through stop, and is awaited below
		code <- run(ctx, []string{"dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", dir}, writer, &stderr)
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("no line on standard output: %v; exit code %d, %s", err, <-code, stderr.String())
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "dms: ready on ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("standard output says %q", line)
	}
	env, err := os.ReadFile(filepath.Join(dir, "dev.env"))
	if err != nil || !strings.Contains(string(env), "\nDMS_ENDPOINT="+url+"\n") {
		t.Errorf("dev.env does not name %s (%v):\n%s", url, err, env)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/openapi.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/openapi.yaml answers %d, %v", resp.StatusCode, err)
	}
	stop()
	select {
	case got := <-code:
		if got != exitOK || stderr.Len() > 0 {
			t.Errorf("exit code %d, standard error %q, want 0 and nothing", got, stderr.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the service did not end")
	}
}
