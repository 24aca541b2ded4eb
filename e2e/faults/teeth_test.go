package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// verdict starts the line in which a planted build names the checks that found something.
const verdict = "violated:"

// bite is a fault that can be planted into the service, and the check that must see it.
type bite struct {
	fault string // as package mapping names it
	check string // "" when there is nothing to see
	short func(*Plan)
}

// bites are short runs, each with the load and the faults that make its mistake visible.
func bites() []bite {
	return []bite{
		{"", "", func(p *Plan) {
			p.StepDowns, p.Storm = 500*time.Millisecond, true
			p.Misused, p.Negative, p.Twice = .06, .04, .05
		}},
		{"answer-early", "K1", func(p *Plan) {
			p.StepDowns, p.Storm, p.Only = 100*time.Millisecond, true, "streams"
		}},
		{"skip-one", "K1", func(p *Plan) { p.For = 5 * time.Second }},
		{"lease-overlap", "K6", func(p *Plan) { p.Think = time.Second }},
		{"ack-unawaited", "K5", func(p *Plan) {
			p.StepDowns, p.Storm, p.Only = 100*time.Millisecond, true, "consumers"
		}},
		{"settle-first", "K9", func(p *Plan) { p.MaxConsume, p.Poison = 1, 3 }},
		{"handle-unchecked", "K8", func(p *Plan) { p.Negative, p.Misused = .3, .2 }},
		{"tenant-shared", "K10", func(p *Plan) { p.For, p.OneNode, p.Drain = 5*time.Second, true, 10*time.Second }},
	}
}

func TestCheckersCatchPlantedFaults(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "planted.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "planted", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with planted faults: %v\n%s", err, out)
	}
	for _, b := range bites() {
		name := b.fault
		if name == "" {
			name = "none"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of a run is waiting
			violated, report := runPlanted(t, binary, b.fault)
			switch {
			case b.check == "" && len(violated) > 0:
				t.Errorf("without a fault %v are accused:\n%s", violated, report)
			case b.check != "" && !slices.Contains(violated, b.check):
				t.Errorf("accused are %v, want %s among them:\n%s", violated, b.check, report)
			default:
				t.Logf("accused: %v", violated)
			}
		})
	}
}

const plantedLimit = 4 * time.Minute

// runPlanted runs the planted build once and returns the checks that found something.
func runPlanted(t *testing.T, binary, fault string) (violated []string, report string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), plantedLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestPlanted$", "-test.v", fmt.Sprintf("-faults.seed=%d", *seed))
	cmd.Env = append(os.Environ(), "DMS_PLANTED="+fault)
	out, err := cmd.CombinedOutput()
	report = string(out)
	if err != nil {
		t.Fatalf("run with the fault planted: %v\n%s", err, report)
	}
	for line := range strings.Lines(report) {
		if found, ok := strings.CutPrefix(line, verdict); ok {
			return strings.Fields(found), report
		}
	}
	t.Fatalf("the run gave no verdict:\n%s", report)
	return nil, ""
}
