package deploy_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every package says in doc.go, and nowhere else, what it is for.
func TestEveryPackageHasOneDocComment(t *testing.T) {
	root := moduleRoot(t)
	folders := goFolders(t)
	if len(folders) < 2 {
		t.Fatalf("found only %d folders with Go files below %s", len(folders), root)
	}
	for dir, files := range folders {
		for _, problem := range checkDoc(filepath.Join(root, dir), files) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

func TestDocCheckNoticesMistakes(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a good package", map[string]string{"doc.go": "// Package x is good.\npackage x\n", "a.go": "package x\n"}, nil},
		{"a good command", map[string]string{"doc.go": "// Command x is good.\npackage main\n"}, nil},
		{"no comment", map[string]string{"a.go": "package x\n"}, []string{`no doc.go that begins "Package x "`}},
		{"a comment elsewhere", map[string]string{"a.go": "// Package x is good.\npackage x\n"},
			[]string{"a.go: the package comment belongs in doc.go", `no doc.go that begins "Package x "`}},
		{"two comments", map[string]string{"doc.go": "// Package x is good.\npackage x\n", "a.go": "// More.\npackage x\n"},
			[]string{"a.go: the package comment belongs in doc.go"}},
		{"another name", map[string]string{"doc.go": "// Package y is good.\npackage x\n"},
			[]string{`doc.go: the comment must begin "Package x "`}},
		{"a test file's comment", map[string]string{"doc.go": "// Package x is good.\npackage x\n", "a_test.go": "// More.\npackage x_test\n"},
			[]string{"a_test.go: the package comment belongs in doc.go"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var names []string
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
			slices.Sort(names)
			if diff := cmp.Diff(tt.want, checkDoc(dir, names)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// checkDoc returns what is wrong with the package comments of one folder.
func checkDoc(dir string, files []string) (problems []string) {
	var pkg string
	documented := false
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return append(problems, err.Error())
		}
		if pkg == "" || !strings.HasSuffix(name, "_test.go") {
			pkg = strings.TrimSuffix(f.Name.Name, "_test")
		}
		switch {
		case f.Doc == nil:
		case name != "doc.go":
			problems = append(problems, name+": the package comment belongs in doc.go")
		default:
			documented = true
			begin := fmt.Sprintf("Package %s ", pkg)
			if pkg == "main" {
				begin = "Command "
			}
			if !strings.HasPrefix(f.Doc.Text(), begin) {
				problems = append(problems, fmt.Sprintf("doc.go: the comment must begin %q", begin))
			}
		}
	}
	if !documented {
		problems = append(problems, fmt.Sprintf("no doc.go that begins %q", "Package "+pkg+" "))
	}
	return problems
}

// goFolders returns the Go files of every folder of the tree, nested modules included,
// by slash-separated path below the root.
func goFolders(t *testing.T) map[string][]string {
	t.Helper()
	root := moduleRoot(t)
	folders := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
				name == "testdata" || name == "node_modules" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			dir = filepath.ToSlash(dir)
			folders[dir] = append(folders[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range folders {
		slices.Sort(files)
	}
	return folders
}
