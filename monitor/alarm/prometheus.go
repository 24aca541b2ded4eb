package alarm

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"dms/monitor/sample"
	"dms/tenancy"
)

// Prometheus writes rules in the format of Prometheus' rule files, for those who evaluate
// there. A second threshold to resolve has no counterpart; for how long it must hold
// becomes keep_firing_for.
func Prometheus(project tenancy.ProjectID, rules []Rule) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "groups:\n  - name: %s\n    rules:", quote("dms."+string(project)))
	n := 0
	for _, r := range rules {
		m, _, ok := sample.Find(r.Metric)
		if !ok || r.Disabled {
			continue
		}
		n++
		selector := fmt.Sprintf("project=%q", project)
		if r.Queue != "" {
			selector += fmt.Sprintf(",queue_id=%q", r.Queue)
		}
		if r.Group != "" {
			selector += fmt.Sprintf(",group_id=%q", r.Group)
		}
		by := "project, queue_id, queue"
		if m.Level == sample.Group {
			by += ", group_id, group"
		}
		// One node exports the figures of a queue at a time; for a moment two may.
		expr := fmt.Sprintf("max by (%s) (%s{%s}) %s %s", by, m.Prometheus, selector, r.Comparison, strconv.FormatFloat(r.Threshold, 'g', -1, 64))
		fmt.Fprintf(&b, "\n      - alert: %s\n        expr: %s\n        for: %ds", quote(r.Name), quote(expr), int64(r.For.Seconds()))
		if s := int64(r.ResolveFor.Seconds()); s > 0 {
			fmt.Fprintf(&b, "\n        keep_firing_for: %ds", s)
		}
		fmt.Fprintf(&b, "\n        labels:\n          severity: %s\n          alarm_id: %s", quote(string(r.Severity)), quote(string(r.ID)))
		summary := r.Description
		if summary == "" {
			summary = m.Help
		}
		// What looks like a template in a tenant's text must not be one.
		summary = strings.ReplaceAll(summary, "{{", "{ {")
		fmt.Fprintf(&b, "\n        annotations:\n          summary: %s", quote(summary))
	}
	if n == 0 {
		b.WriteString(" []")
	}
	b.WriteString("\n")
	return []byte(b.String())
}

// quote writes a string as YAML understands it. What cannot be seen is escaped.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
