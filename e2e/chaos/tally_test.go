package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dms/e2e/history"
	"dms/e2e/workload"

	"github.com/google/go-cmp/cmp"
)

func TestLeadersAreReadFromTheLog(t *testing.T) {
	l := newLeaders()
	var kept strings.Builder
	first, second := l.follow(0, &kept), l.follow(1, &kept)
	for _, part := range []string{
		`{"level":"INFO","msg":"engine","text":"JetStream cluster new stream leader for 'AAX > q_12'"}` + "\n" + `{"text":"Self is new JetStream cluster meta`,
		`data leader"}` + "\n",
	} {
		if _, err := first.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Write([]byte(`{"text":"JetStream cluster new consumer leader for 'AAX > q_12 > g_34'"}` + "\npanic: no\n")); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{"q_12": 0, metaGroup: 0, "q_12 g_34": 1} {
		if got, ok := l.leads(what); !ok || got != want {
			t.Errorf("%s is led by %d (%t), want %d", what, got, ok, want)
		}
	}
	if got, ok := l.leads("q_99"); ok {
		t.Errorf("a queue that no line names is led by %d", got)
	}
	if diff := cmp.Diff([]string{"n2: panic: no"}, l.alarms()); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	if !strings.Contains(kept.String(), "metadata leader") {
		t.Error("the log is not kept")
	}
}

func TestAStrikeIsWeighedByWhatClientsFelt(t *testing.T) {
	const s = time.Second
	strikes := []strike{{From: 10 * s, Whole: 20 * s}, {From: 40 * s, Whole: 41 * s}}
	weigh(strikes, []workload.Operation{
		{Start: 1 * s, End: 9 * s, Known: true}, // before
		{Start: 9 * s, End: 12 * s, Known: true},
		{Start: 19 * s, End: 26 * s, Known: true}, // begun in it
		{Start: 11 * s, End: 13 * s, Op: history.Send},
		{Start: 11 * s, End: 13 * s, Op: history.Ack}, // its lease ended
		{Start: 21 * s, End: 39 * s},                  // between
	})
	if got := strikes[0]; got.Worst != 7*s || got.Errors != 1 {
		t.Errorf("the first strike is weighed %v and %d errors, want 7s and 1", got.Worst, got.Errors)
	}
	if got := strikes[1]; got.Worst != 0 || got.Errors != 0 {
		t.Errorf("a strike that nobody felt is weighed %v and %d errors", got.Worst, got.Errors)
	}
}

func TestADeckRepeatsWithItsSeed(t *testing.T) {
	names := func(seed uint64) (all []string) {
		for _, f := range shuffled(faults(), rand.New(rand.NewPCG(seed, 0))) {
			all = append(all, f.name)
		}
		return all
	}
	if diff := cmp.Diff(names(1), names(1)); diff != "" {
		t.Errorf("two decks of one seed differ:\n%s", diff)
	}
	if cmp.Equal(names(1), names(2)) {
		t.Error("two seeds give one deck")
	}
	for _, f := range faults() {
		if n := strings.Count("|"+strings.Join(names(1), "|")+"|", "|"+f.name+"|"); n == 0 {
			t.Errorf("%s is not in the deck", f.name)
		}
	}
}

func TestUnknownFaultsAreRefused(t *testing.T) {
	if got, err := named("N02", "N99"); err == nil {
		t.Errorf("N99 is found among %v", got)
	}
}

func TestARunIsBookedInBothTables(t *testing.T) {
	run := newTally(7, time.Minute, "-chaos.rate=300")
	file := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(file, []byte("a history\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report := &history.Report{Totals: history.Totals{Stored: 1234}}
	report.Findings = []history.Finding{{Checker: history.Checker{Name: "K1"}, Violations: make([]history.Violation, 2)}}
	all, err := named("N02", "N06", "N16")
	if err != nil {
		t.Fatal(err)
	}
	p := &played{Outcome: &workload.Outcome{Report: report, Strict: report, History: file}}
	for _, f := range all {
		p.Strikes = append(p.Strikes, strike{Fault: f, Worst: 4500 * time.Millisecond, Seen: []string{"a|b"}})
	}
	p.Strikes[1].Complaints = []string{"did not\nstop"}
	if err := run.add(p); err != nil {
		t.Fatal(err)
	}
	ledger, err := os.ReadFile(ledgerFile)
	if err != nil {
		t.Fatal(err)
	}
	got, err := run.enter(string(ledger), build{"v1", "abc"}, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a history\n"))
	for _, want := range []string{
		row("2026-01-31", "v1", "abc", "1m0s", 1234, 3, 1, 1, 1, "2 (K1)", 0, 0, "4.5 / 4.5 / 4.5", 7, "-chaos.rate=300", hex.EncodeToString(sum[:])) + runsEnd,
		row("abc", 7, "N06", "power cut of all nodes", 1, "4.5 / 4.5 / 4.5", 0, "did not stop"),
		row("abc", 7, "N16", "bit flip in a block of one replica", 1, "4.5 / 4.5 / 4.5", 0, "a|b") + faultsEnd,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the ledger has no line %q", want)
		}
	}
	before, err := addUp(string(ledger))
	if err != nil {
		t.Fatal(err)
	}
	if before != string(ledger) {
		t.Errorf("the totals of the ledger are not those of its rows, which are %v", totals(before))
	}
	for i, want := range []int{1234, 3, 1, 1, 1, 2, 0, 0} {
		if added := totals(got)[i] - totals(before)[i]; added != want {
			t.Errorf("a run adds %d to column %d of the totals, want %d", added, i+1, want)
		}
	}
	if !strings.Contains(got, "| N02 | kill -9 of a queue's leader | 0 |") {
		t.Error("a fault from before a violation under it counts as since it")
	}
	run.Violations, run.Seed = 0, run.Seed+1
	clean, err := run.enter(got, build{"v1", "abc"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	good := func(ledger string) string {
		_, rest, _ := strings.Cut(ledger, "| runs without a violation |")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	if good(got) != good(before) || good(clean) == good(got) {
		t.Errorf("runs without a violation come to %s before, to %s with one more that has some, and to %s with one that has none", good(before), good(got), good(clean))
	}
	if !strings.Contains(clean, "| N02 | kill -9 of a queue's leader | 1 |") {
		t.Errorf("its faults are not added up:\n%s", clean)
	}
	run.Violations, run.Seed = 2, run.Seed-1
	if run.ok() {
		t.Error("a run with violations is called good")
	}
	cells := 0 // of the table's lines so far
	for line := range strings.Lines(got) {
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells > 0 && n > 0 && n != cells {
			t.Errorf("a row does not fit its table: %s", line)
		}
		cells = n
	}
	if _, err := run.enter("no tables", build{}, time.Now()); err == nil {
		t.Error("a file without tables is taken for the ledger")
	}
}

func totals(ledger string) (all []int) {
	_, rest, _ := strings.Cut(ledger, "| all runs |")
	line, _, _ := strings.Cut(rest, "\n")
	for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
		n, err := strconv.Atoi(strings.TrimSpace(cell))
		if err != nil {
			n = -1
		}
		all = append(all, n)
	}
	return all
}

func TestPercentilesAreNearestRanks(t *testing.T) {
	var all []time.Duration
	for i := range 10 {
		all = append(all, time.Duration(i+1))
	}
	for p, want := range map[int]time.Duration{0: 1, 50: 5, 51: 6, 99: 10, 100: 10} {
		if got := percentile(all, p); got != want {
			t.Errorf("percentile %d is %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("a percentile of nothing is %d", got)
	}
}
