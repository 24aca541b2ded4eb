package deploy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolderHasOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "when", "absent")
	unlock, err := lockFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFolder(path); !errors.Is(err, ErrFolderInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second user got %v, want ErrFolderInUse and the folder's name", err)
	}
	if err := unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := lockFolder(path)
	if err != nil {
		t.Fatalf("the folder was not freed: %v", err)
	}
	if err := again(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsAreReadFromPrivateFilesOnly(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := readSecret(write("good", "  hush-hush\n", 0o600))
	if err != nil || got != "hush-hush" {
		t.Errorf("read %q, %v, want hush-hush", got, err)
	}
	for path, want := range map[string]string{
		write("shared", "hush", 0o640):                         "read by other users",
		write("public", "hush", 0o604):                         "read by other users",
		write("empty", " \n", 0o600):                           "is empty",
		write("long", strings.Repeat("x", maxSecret+1), 0o600): "larger than",
		filepath.Join(dir, "absent"):                           "no such file",
		dir:                                                    "is not a file",
	} {
		_, err := readSecret(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", filepath.Base(path), err, want)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error tells the secret: %v", filepath.Base(path), err)
		}
	}
}

func TestFilesAreReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		if err := writeFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("the file holds %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v, want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files in the folder, %v, want 1", len(left), err)
	}
	if err := writeFile(filepath.Join(path, "below-a-file"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
}

// What quoteShell writes, a shell reads back.
func TestShellReadsWhatIsQuoted(t *testing.T) {
	for _, text := range []string{"", "plain-1.2_3:/x", "two words", "it's", `"$HOME" \n`, "a;b|c&d", "*", "`id`", "line\nline", "ü", "#no"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "v="+quoteShell(text)+`; printf %s "$v"`).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q came back as %q, %v", text, out, err)
		}
	}
}
