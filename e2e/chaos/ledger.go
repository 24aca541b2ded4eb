package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	ledgerFile = "../LEDGER.md"

	// Rows are put before these lines of the ledger.
	runsEnd   = "<!-- runs: rows are added above -->"
	faultsEnd = "<!-- faults: rows are added above -->"
	// What stands between these lines adds up the runs, and is written anew with each.
	totalsBegin = "<!-- totals: what follows is counted anew -->"
	totalsEnd   = "<!-- totals: what stands above is counted anew -->"
)

// build says what ran.
type build struct{ version, commit string }

// builtFrom asks the service for its version and the repository for its commit. A
// commit with changes is marked, for nobody can run it again.
func builtFrom(ctx context.Context) (build, error) {
	text, err := exec.CommandContext(ctx, binary(shipped), "version", "--json").Output()
	if err != nil {
		return build{}, fmt.Errorf("ask for the version: %w", err)
	}
	var b struct{ Version string }
	if err := json.Unmarshal(text, &b); err != nil {
		return build{}, fmt.Errorf("ask for the version: %w", err)
	}
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return build{}, fmt.Errorf("ask for the commit: %w", err)
	}
	return build{b.Version, strings.TrimSpace(string(commit))}, nil
}

// row makes a line of a table.
func row(cells ...any) string {
	var s strings.Builder
	for _, c := range cells {
		fmt.Fprintf(&s, "| %s ", strings.NewReplacer("|", "\\|", "\n", " ").Replace(fmt.Sprint(c)))
	}
	return s.String() + "|\n"
}

// runRow is the ledger's line of a run.
func (t *tally) runRow(b build, day time.Time) string {
	violations := fmt.Sprint(t.Violations)
	if t.Violations > 0 {
		violations += " (" + strings.Join(t.Violated, " ") + ")"
	}
	return row(day.UTC().Format(time.DateOnly), b.version, b.commit, t.For, t.Messages.Stored, len(t.Strikes),
		t.count(func(f fault) bool { return f.cuts == size }), t.count(func(f fault) bool { return f.name == "N02" || f.name == "N03" }),
		t.count(func(f fault) bool { return f.damages }), violations, t.Errors, t.Left+len(t.Complaints), waited(t.waits("")), t.Seed, t.Flags, t.digest())
}

// faultRows are the ledger's lines of the faults of a run.
func (t *tally) faultRows(b build) string {
	var rows strings.Builder
	for _, f := range t.kinds() {
		errors, seen := 0, ""
		for _, s := range t.Strikes {
			if s.Fault.name != f.name {
				continue
			}
			errors += s.Errors
			if len(s.Complaints) > 0 {
				seen = s.Complaints[0]
			} else if seen == "" && len(s.Seen) > 0 {
				seen = strings.Join(s.Seen, "; ")
			}
		}
		if len(seen) > 200 {
			seen = seen[:200] + "…"
		}
		w := t.waits(f.name)
		rows.WriteString(row(b.commit, t.Seed, f.name, f.title, len(w), waited(w), errors, seen))
	}
	return rows.String()
}

// enter puts the rows of a run into the text of the ledger.
func (t *tally) enter(ledger string, b build, day time.Time) (string, error) {
	for end, rows := range map[string]string{runsEnd: t.runRow(b, day), faultsEnd: t.faultRows(b)} {
		if strings.Count(ledger, end) != 1 {
			return "", fmt.Errorf("the ledger has %d lines %q, want 1", strings.Count(ledger, end), end)
		}
		ledger = strings.Replace(ledger, end, rows+end, 1)
	}
	return addUp(ledger)
}

// book writes the run into the ledger's file.
func (t *tally) book(path string, b build, day time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := t.enter(string(text), b, day)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(changed), 0o644)
}
