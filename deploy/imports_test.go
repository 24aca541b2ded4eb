package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// importRule keeps one layer apart from another. Patterns are import paths; a final
// "/..." also covers everything below. Rules hold for all packages that are reached,
// not only for direct imports, because a detour is a dependency too.
type importRule struct {
	packages []string // patterns the rule binds
	except   []string // patterns it does not bind
	never    string   // import path that must not be reached, nor anything below it
	why      string
}

const (
	natsServer = "github.com/nats-io/nats-server/v2"
	otelSDK    = "go.opentelemetry.io/otel/sdk"
)

func importRules() []importRule {
	return []importRule{
		{
			packages: []string{"dms/facade/...", "dms/monitor/...", "dms/mapping/dms", "dms/tenancy",
				"dms/tenancy/oidc", "dms/tenancy/claims", "dms/tenancy/token", "dms/tenancy/accesskey", "dms/tenancy/audit", "dms/deploy/devidp"},
			never: "github.com/nats-io",
			why:   "the storage engine is spoken to in mapping, tenancy/accounts, tenancy/registry, tenancy/keystore and tenancy/audit/trail only",
		},
		{
			packages: []string{"dms/..."},
			except:   []string{"dms/deploy", "dms/deploy/bench", "dms/deploy/deploytest", "dms/deploy/engine/...", "dms/cmd/..."},
			never:    natsServer,
			why:      "a connection is enough for everyone but the package that embeds the server",
		},
		{
			packages: []string{"dms/deploy/engine/...", "dms/deploy/keys"},
			never:    "dms/mapping",
			why:      "the engine stores bytes and must not learn what a queue is",
		},
		{
			packages: []string{"dms/mapping/...", "dms/tenancy/...", "dms/facade/...", "dms/monitor/..."},
			never:    "dms/deploy",
			why:      "deploy assembles the others and is known by none of them",
		},
		{
			packages: []string{"dms/mapping/...", "dms/tenancy/...", "dms/monitor/...", "dms/deploy/engine/...", "dms/deploy/devidp"},
			never:    "dms/facade",
			why:      "nothing below the edge depends on how the API is served",
		},
		{
			packages: []string{"dms/facade/...", "dms/monitor/...", "dms/tenancy/..."},
			never:    "dms/mapping",
			why:      "only the vocabulary in mapping/dms is shared",
		},
		{
			packages: []string{"dms/tenancy", "dms/tenancy/audit", "dms/mapping/dms"},
			never:    "net/http",
			why:      "the vocabulary does no I/O",
		},
		{
			packages: []string{"dms/..."},
			except:   []string{"dms/monitor/...", "dms/deploy", "dms/deploy/deploytest", "dms/cmd/..."},
			never:    otelSDK,
			why:      "others receive a meter; exporters and readers are built in monitor only",
		},
		{
			packages: []string{"dms/..."},
			except:   []string{"dms/deploy", "dms/deploy/deploytest", "dms/deploy/devidp", "dms/cmd/..."},
			never:    "dms/deploy/devidp",
			why:      "the development identity provider is for dms dev and for tests",
		},
		{
			packages: []string{"dms/..."},
			never:    "dms/tenancy/oidc/oidctest",
			why:      "identity providers that lie, and keys that everyone has, are for tests",
		},
		{
			packages: []string{"dms/..."},
			never:    "dms/tenancy/certtest",
			why:      "authorities whose keys nobody guards are for tests",
		},
	}
}

// sharedVocabulary may be reached by everyone although "dms/mapping" is above it.
const sharedVocabulary = "dms/mapping/dms"

func TestLayersStayApart(t *testing.T) {
	graph := moduleGraph(t)
	for _, problem := range checkImports(graph, importRules()) {
		t.Error(problem)
	}
}

func TestImportCheckNoticesViolations(t *testing.T) {
	graph := map[string][]string{
		"dms/edge":                 {"dms/middle", "fmt"},
		"dms/middle":               {"example.org/store/client"},
		"dms/edge/inner":           nil,
		"dms/edgeless":             {"example.org/store/client"},
		"dms/clean":                {"fmt"},
		"dms/mapping":              {"dms/mapping/dms"},
		"dms/mapping/dms":          nil,
		"dms/useswords":            {"dms/mapping/dms"},
		"dms/usesmappings":         {"dms/useswords", "dms/mapping"},
		"example.org/store/client": nil,
		"fmt":                      nil,
	}
	tests := []struct {
		name string
		rule importRule
		want []string
	}{
		{"a detour counts", importRule{packages: []string{"dms/edge"}, never: "example.org/store", why: "w"},
			[]string{"dms/edge -> dms/middle -> example.org/store/client: dms/edge must not reach example.org/store: w"}},
		{"below a pattern, but no namesake", importRule{packages: []string{"dms/edge/..."}, never: "dms/edgeless", why: "w"}, nil},
		{"an exception is not bound", importRule{packages: []string{"dms/middle", "dms/clean"}, except: []string{"dms/middle"}, never: "example.org/store", why: "w"}, nil},
		{"a clean package passes", importRule{packages: []string{"dms/clean"}, never: "example.org/store", why: "w"}, nil},
		{"the vocabulary is no violation", importRule{packages: []string{"dms/useswords"}, never: "dms/mapping", why: "w"}, nil},
		{"what is beside the vocabulary is one", importRule{packages: []string{"dms/usesmappings"}, never: "dms/mapping", why: "w"},
			[]string{"dms/usesmappings -> dms/mapping: dms/usesmappings must not reach dms/mapping: w"}},
		{"a forbidden path that is gone", importRule{packages: []string{"dms/clean"}, never: "example.org/stor", why: "w"},
			[]string{"rule about example.org/stor: no package of that path exists, so the rule cannot fail"}},
		{"a bound pattern that is gone", importRule{packages: []string{"dms/clena"}, never: "fmt", why: "w"},
			[]string{"rule about fmt: nothing matches dms/clena"}},
		{"an exception that is gone", importRule{packages: []string{"dms/edge/inner"}, except: []string{"dms/gone"}, never: "fmt", why: "w"},
			[]string{"rule about fmt: nothing matches dms/gone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := checkImports(graph, []importRule{tt.rule})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// checkImports returns one sentence for every rule that is broken or has lost its object.
func checkImports(graph map[string][]string, rules []importRule) []string {
	all := make([]string, 0, len(graph))
	for p := range graph {
		all = append(all, p)
	}
	slices.Sort(all)
	var problems []string
	for _, r := range rules {
		if !slices.ContainsFunc(all, func(p string) bool { return below(p, r.never) }) {
			problems = append(problems, fmt.Sprintf("rule about %s: no package of that path exists, so the rule cannot fail", r.never))
			continue
		}
		for _, pattern := range slices.Concat(r.packages, r.except) {
			if !slices.ContainsFunc(all, func(p string) bool { return matches(p, pattern) }) {
				problems = append(problems, fmt.Sprintf("rule about %s: nothing matches %s", r.never, pattern))
			}
		}
		for _, p := range all {
			if !matchesAny(p, r.packages) || matchesAny(p, r.except) {
				continue
			}
			if path := findPath(graph, p, r.never); path != nil {
				problems = append(problems, fmt.Sprintf("%s: %s must not reach %s: %s", strings.Join(path, " -> "), p, r.never, r.why))
			}
		}
	}
	return problems
}

// findPath returns a shortest chain of imports from a package to a forbidden path.
func findPath(graph map[string][]string, from, never string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range graph[queue[0]] {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if below(next, never) && next != sharedVocabulary {
				var path []string
				for p := next; p != ""; p = before[p] {
					path = append(path, p)
				}
				slices.Reverse(path)
				return path
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func matches(path, pattern string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(path, root)
	}
	return path == pattern
}

func matchesAny(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(path, p) })
}

// The end-to-end tests are a module of their own: a customer cannot reach inside, and
// nothing inside may lean on the customer.
func TestTheServiceDoesNotRequireItsEndToEndTests(t *testing.T) {
	var mod struct {
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(goTool(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Require) == 0 {
		t.Fatal("go.mod requires nothing: the file was not read")
	}
	for _, r := range mod.Require {
		if below(r.Path, "dms") {
			t.Errorf("go.mod requires %s", r.Path)
		}
	}
	for _, r := range mod.Replace {
		if below(r.Old.Path, "dms") {
			t.Errorf("go.mod replaces %s", r.Old.Path)
		}
	}
}

func TestImportCheckSeesEveryPackage(t *testing.T) {
	graph := moduleGraph(t)
	var missing []string
	for dir := range goFolders(t) {
		if dir == "e2e" || strings.HasPrefix(dir, "e2e/") {
			continue // a module of its own, see above
		}
		if _, ok := graph["dms/"+dir]; !ok {
			missing = append(missing, dir)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("folders with Go files that the import graph lacks: %s", strings.Join(missing, ", "))
	}
}

// moduleGraph returns the imports of every package of the module and of everything they reach.
func moduleGraph(t *testing.T) map[string][]string {
	t.Helper()
	graph := make(map[string][]string)
	dec := json.NewDecoder(bytes.NewReader(goTool(t, "list", "-deps", "-json=ImportPath,Imports", "./...")))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return graph
		}
		if err != nil {
			t.Fatal(err)
		}
		graph[p.ImportPath] = p.Imports
	}
}

func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = moduleRoot(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module does not start above this folder: %v", err)
	}
	return root
}
