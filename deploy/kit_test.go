package deploy_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// tool runs a program of the operator's kit. One that is missing fails the test: it is
// part of what is tested.
func tool(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing (Debian: apt-get install prometheus prometheus-alertmanager)", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestRulesOfTheKitDoWhatTheySay(t *testing.T) {
	tool(t, "prometheus", "promtool", "check", "config", "prometheus.yml")
	tool(t, "prometheus", "promtool", "check", "rules", "rules.yml")
	tool(t, "prometheus", "promtool", "test", "rules", "rules_test.yml")
	tool(t, "alertmanager", "amtool", "check-config", "alertmanager.yml")
}

// kitRule is a rule of the operator's kit.
type kitRule struct {
	Record, Alert, Expr string
	Labels              map[string]string
	Annotations         map[string]string
}

func kitRules(t *testing.T) (all []kitRule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []kitRule } }
	decodeYAML(t, "prometheus/rules.yml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d rules were read", len(all))
	}
	return all
}

func decodeYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestEveryAlertHasAParagraphAndATest(t *testing.T) {
	runbook, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("prometheus/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, r := range kitRules(t) {
		if r.Alert == "" {
			continue
		}
		named[r.Alert] = true
		_, rest, ok := strings.Cut(string(runbook), "\n## "+r.Alert+"\n")
		paragraph, _, _ := strings.Cut(rest, "\n## ")
		if !ok || len(strings.Fields(paragraph)) < 20 {
			t.Errorf("the runbook says too little about %s", r.Alert)
		}
		if want := "RUNBOOK.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want || r.Annotations["summary"] == "" {
			t.Errorf("%s has the annotations %v, want the runbook %s and a summary", r.Alert, r.Annotations, want)
		}
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\n\s+eval_time: \w+\n\s+exp_alerts:`).Match(tests) {
			t.Errorf("no test sees %s fire", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		if !named[m[1]] {
			t.Errorf("the runbook speaks of %s, which is no alert", m[1])
		}
	}
}

func TestTheCollectorTakesWhatIsPushed(t *testing.T) {
	var c struct {
		Receivers, Processors, Exporters map[string]yaml.Node
		Service                          struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	decodeYAML(t, "otel/collector.yaml", &c)
	for _, signal := range []string{"metrics", "traces"} {
		p, ok := c.Service.Pipelines[signal]
		if !ok || !slices.Contains(p.Receivers, "otlp") || len(p.Exporters) == 0 {
			t.Errorf("the pipeline of %s is %+v", signal, p)
		}
		for _, names := range []struct {
			used    []string
			defined map[string]yaml.Node
		}{{p.Receivers, c.Receivers}, {p.Processors, c.Processors}, {p.Exporters, c.Exporters}} {
			for _, name := range names.used {
				if _, ok := names.defined[name]; !ok {
					t.Errorf("the pipeline of %s uses %s, which is not defined", signal, name)
				}
			}
		}
	}
}

// expressions returns every PromQL expression of the kit by where it stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, r := range kitRules(t) {
		all["rule "+r.Record+r.Alert] = r.Expr
	}
	boards, err := filepath.Glob("grafana/*.json")
	if err != nil || len(boards) != 2 {
		t.Fatalf("dashboards %v, %v", boards, err)
	}
	for _, path := range boards {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
			Templating struct {
				List []struct{ Name, Query string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				all[path+" "+p.Title+" "+target.Expr] = target.Expr
			}
		}
		for _, v := range board.Templating.List {
			all[path+" variable "+v.Name] = v.Query
		}
	}
	return all
}

// metricsOf returns the names of the metrics that an expression asks for.
func metricsOf(expr string) []string {
	expr = regexp.MustCompile(`\{[^}]*\}|\b(by|on|ignoring|without)\s*\([^)]*\)|,\s*\w+\)$`).ReplaceAllString(expr, " ")
	return regexp.MustCompile(`\b(dms|http|messaging|process|go)_\w+|\bdms:[\w:]+`).FindAllString(expr, -1)
}

func TestMetricsOfAnExpressionAreFound(t *testing.T) {
	for expr, want := range map[string]string{
		`max by (queue, dms_x) (rate(dms_a_total{dms_l="x"}[5m])) / dms_b`:     "dms_a_total dms_b",
		`label_values(dms_queue_messages{project=~"$p"}, queue)`:               "dms_queue_messages",
		`sum by (dms_error_code) (http_c{x="y"}) > on (job) dms:d:rate5m`:      "http_c dms:d:rate5m",
		`histogram_quantile(0.99, sum by (le) (rate(messaging_e_bucket[5m])))`: "messaging_e_bucket",
	} {
		if got := strings.Join(metricsOf(expr), " "); got != want {
			t.Errorf("%s asks for %q, want %q", expr, got, want)
		}
	}
}

// checkKit holds every expression of the kit against what nodes export.
func checkKit(t *testing.T, exported string) {
	t.Helper()
	known := make(map[string]bool)
	for _, r := range kitRules(t) {
		known[r.Record] = true
	}
	for line := range strings.Lines(exported) {
		if name := regexp.MustCompile(`^[a-z]\w*`).FindString(line); name != "" {
			known[name] = true
		}
	}
	n := 0
	for where, expr := range expressions(t) {
		for _, name := range metricsOf(expr) {
			n++
			if !known[name] {
				t.Errorf("%s asks for %s, which nobody exports", where, name)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d uses of metrics were found", n)
	}
}
