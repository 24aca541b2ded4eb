package chaos

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	loadFor  = flag.Duration("chaos.for", 0, "a long run under all faults; 0 is none")
	seed     = flag.Uint64("chaos.seed", 0, "repeats the choices of an earlier run; 0 takes a new seed")
	rate     = flag.Int("chaos.rate", 300, "messages offered a second in a long run")
	only     = flag.String("chaos.only", "", "faults of a long run by name, separated by commas; empty is all")
	section  = flag.Duration("chaos.section", 10*time.Second, "least time of each fault of a long run, with load before and after it")
	diskSize = flag.Int64("chaos.disk", 8<<30, "bytes of each node's disk in a long run; the files are sparse")
	keep     = flag.String("chaos.keep", "", "keep histories and logs in this folder")
	booked   = flag.Bool("chaos.book", false, "write the long run into the ledger")
)

// TestMain runs the tests in namespaces of their own where root is demanded.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(mainCode(m))
}

func mainCode(m *testing.M) int {
	if !demanded() {
		return m.Run()
	}
	code, err := 1, error(nil)
	if os.Getenv(insideVariable) == "" {
		code, err = enter(builds())
	} else if err = furnish(); err == nil {
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// flags are those of a long run that its ledger row needs beside its time and seed.
func flags() string {
	all := fmt.Sprintf("-chaos.rate=%d -chaos.section=%v", *rate, *section)
	if *only != "" {
		all += " -chaos.only=" + *only
	}
	return all
}

// builds are those that the tests need; that with a wrong clock takes long to make.
func builds() []string {
	needed := []string{shipped, unsynced, stuck}
	for name, faults := range map[string][]string{skewed: {"N22"}, crashing: {"N25", "N26"}} {
		asked := func(fault string) bool { return slices.Contains(strings.Split(*only, ","), fault) }
		if *loadFor > 0 && (*only == "" || slices.ContainsFunc(faults, asked)) {
			needed = append(needed, name)
		}
	}
	return needed
}

// demanded reports whether whoever runs the tests wants those that need root.
func demanded() bool { return os.Getenv("DMS_CI_ROOT") == "1" || *loadFor > 0 }

// notRun says that a test needs root, and reports whether it does and nobody wants it.
func notRun(t *testing.T) bool {
	t.Helper()
	if !demanded() {
		t.Log("not run: it makes disks and networks, which needs root; DMS_CI_ROOT=1 demands it")
	}
	return !demanded()
}

// folder is where a test keeps histories and logs.
func folder(t *testing.T) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(*keep, 0o700); err != nil {
		t.Fatal(err)
	}
	return *keep
}
