//go:build planted

package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dms/e2e/workload"
)

// plan is a run that is made to be seen through; every client behaves.
func (b bite) plan(seed uint64) Plan {
	p := Plan{For: 12 * time.Second, Plan: workload.Plan{
		Seed: seed, Rate: 200, Keyed: .5, MaxConsume: 3, Think: 100 * time.Millisecond, Drain: time.Minute}}
	b.short(&p)
	return p
}

// TestPlanted is one run with the fault that the environment names. What is found is for
// TestCheckersCatchPlantedFaults to judge, which runs this.
func TestPlanted(t *testing.T) {
	fault := os.Getenv("DMS_PLANTED")
	all := bites()
	i := slices.IndexFunc(all, func(b bite) bool { return b.fault == fault })
	if i < 0 {
		t.Fatalf("no fault %q is known", fault)
	}
	out, err := Run(t, all[i].plan(*seed), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	violated := out.Violated()
	if fault == "" && !out.OK() && len(violated) == 0 {
		violated = []string{"complaints"}
	}
	fmt.Printf("\n%s %s\n", verdict, strings.Join(violated, " "))
	fmt.Println(out)
}
