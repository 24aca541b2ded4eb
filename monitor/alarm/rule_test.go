package alarm

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestBadRulesAreRefusedByTheNameOfTheField(t *testing.T) {
	for field, change := range map[string]func(*Rule){
		"name must":                   func(r *Rule) { r.Name = "" },
		"name must have":              func(r *Rule) { r.Name = strings.Repeat("x", 65) },
		"name must have 1":            func(r *Rule) { r.Name = "a\nb" },
		"description":                 func(r *Rule) { r.Description = strings.Repeat("é", 257) },
		"metric":                      func(r *Rule) { r.Metric = "messages" },
		"comparison":                  func(r *Rule) { r.Comparison = "=" },
		"threshold":                   func(r *Rule) { r.Threshold = math.Inf(1) },
		"threshold must":              func(r *Rule) { r.Threshold = math.NaN() },
		"for_seconds":                 func(r *Rule) { r.For = -time.Second },
		"for_seconds must":            func(r *Rule) { r.For = 25 * time.Hour },
		"resolve_for_seconds":         func(r *Rule) { r.ResolveFor = 25 * time.Hour },
		"resolve_threshold":           func(r *Rule) { r.Resolve = number(101) },
		"resolve_threshold must":      func(r *Rule) { r.Comparison, r.Resolve = Below, number(99) },
		"group_id":                    func(r *Rule) { r.Metric, r.Queue, r.Group = "queued_messages", "q", "g" },
		"queue_id":                    func(r *Rule) { r.Group = "g" },
		"severity":                    func(r *Rule) { r.Severity = "bad" },
		"webhooks must":               func(r *Rule) { r.Webhooks = make([]Webhook, 4) },
		"webhooks[0].url":             func(r *Rule) { r.Webhooks[0].URL = "/hook" },
		"webhooks[0].url must be":     func(r *Rule) { r.Webhooks[0].URL = "ftp://example.com/" },
		"webhooks[0].url must not":    func(r *Rule) { r.Webhooks[0].URL = "https://me:secret@example.com/" },
		"webhooks[0].url must not ha": func(r *Rule) { r.Webhooks[0].URL = "https://example.com/#x" },
		"webhooks[0].secret":          func(r *Rule) { r.Webhooks[0].Secret = "short" },
	} {
		r := rule()
		change(&r)
		err := r.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: the error is %v", field, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("the error repeats a credential: %v", err)
		}
	}
	if err := rule().Validate(); err != nil {
		t.Errorf("a good rule is refused: %v", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	r := rule()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, r.Webhooks[0].Secret); strings.Contains(text, "0123") {
			t.Errorf("%s shows %s", verb, text)
		}
	}
}

func TestIDsHaveOneForm(t *testing.T) {
	if id, ok := ParseID(string(NewID())); !ok || len(id) != 32 {
		t.Errorf("a new id is not one: %s", id)
	}
	for _, s := range []string{"", strings.Repeat("g", 32), strings.Repeat("A", 32), strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("0", 31) + "*"} {
		if _, ok := ParseID(s); ok {
			t.Errorf("%q is taken for an id", s)
		}
	}
}

// ruleFile is what is looked at of an exported file.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For string
			KeepFiring       string `yaml:"keep_firing_for"`
			Labels           map[string]string
			Annotations      map[string]string
		}
	}
}

func TestRulesAreExportedForPrometheus(t *testing.T) {
	r := rule()
	r.Queue, r.Group = "9bf46390-38a2-462d-b392-4d5b2d519c55", "g-5ec247fd-d4a2-4d4f-9876-e4ff3280c461"
	r.Name, r.Description = `a "quoted" name: # no comment`, "look {{ here }} \\ \u2028"
	off := rule()
	off.Disabled = true
	var f ruleFile
	text := Prometheus(project, []Rule{r, off})
	if err := yaml.Unmarshal(text, &f); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(f.Groups) != 1 || len(f.Groups[0].Rules) != 1 {
		t.Fatalf("want one group of one rule:\n%s", text)
	}
	got := f.Groups[0].Rules[0]
	want := `max by (project, queue_id, queue, group_id, group) (dms_group_messages_available{project="` + project +
		`",queue_id="` + string(r.Queue) + `",group_id="` + string(r.Group) + `"}) > 100`
	if got.Alert != r.Name || got.Expr != want || got.For != "20s" || got.KeepFiring != "10s" || got.Labels["severity"] != "major" {
		t.Errorf("the rule is %+v, want the expression %s", got, want)
	}
	if s := got.Annotations["summary"]; strings.Contains(s, "{{") || !strings.Contains(s, "look") {
		t.Errorf("the summary is %q", s)
	}
	if err := yaml.Unmarshal(Prometheus(project, nil), &f); err != nil {
		t.Error(err)
	}
}

func FuzzPrometheusIsYAML(f *testing.F) {
	f.Add("backlog", "the queue is full")
	f.Add("a: b", "\"\\ {{ \u0085 '")
	f.Fuzz(func(t *testing.T, name, description string) {
		r := rule()
		r.Name, r.Description = name, description
		if r.Validate() != nil {
			return
		}
		var got ruleFile
		if err := yaml.Unmarshal(Prometheus(project, []Rule{r}), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Groups) != 1 || len(got.Groups[0].Rules) != 1 {
			t.Fatalf("%d groups", len(got.Groups))
		}
	})
}
