package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Columns of a run: who ran what, and those that can be added up, in their order from
// acknowledged messages to complaints.
const (
	commitOfRun       = 3
	firstSum, lastSum = 5, 12
	violationsOfRun   = 10
	seedOfRun         = 14
)

// Columns of a kind of fault in a run.
const (
	commitOfFault = iota + 1
	seedOfFault
	nameOfFault
	titleOfFault
	timesOfFault
	waitedOfFault
	errorsOfFault
)

const lastOfFault = errorsOfFault + 1

// sums add up columns of runs.
type sums [lastSum - firstSum + 1]int

func (s sums) row(what string) string {
	cells := []any{what}
	for _, n := range s {
		cells = append(cells, n)
	}
	return row(cells...)
}

// addUp counts the totals of a ledger anew: of all runs, of those without a violation, and
// of each kind of fault since it last struck in a run with one.
func addUp(ledger string) (string, error) {
	head, rest, found := strings.Cut(ledger, totalsBegin)
	_, tail, ended := strings.Cut(rest, totalsEnd)
	if !found || !ended {
		return "", fmt.Errorf("the ledger has not both %q and %q", totalsBegin, totalsEnd)
	}
	var all, good sums
	violated := make(map[string]bool) // by commit and seed
	runs, faults, _ := strings.Cut(tail, runsEnd)
	for cells := range rowsOf(runs, lastSum) {
		if !strings.HasPrefix(cells[1], "2") { // a day
			continue
		}
		bad := cells[violationsOfRun] != "0"
		violated[cells[commitOfRun]+" "+cells[seedOfRun]] = bad
		for i := range all {
			number, _, _ := strings.Cut(cells[firstSum+i], " ") // without the names of checks
			n, err := strconv.Atoi(number)
			if err != nil {
				return "", fmt.Errorf("a row of the ledger: %w", err)
			}
			all[i] += n
			if !bad {
				good[i] += n
			}
		}
	}
	kinds, err := addUpFaults(faults, violated)
	if err != nil {
		return "", err
	}
	return head + totalsBegin + "\n\n" +
		"| | acknowledged | faults | cuts | leader kills | damage | violations | errors | complaints |\n|---|---|---|---|---|---|---|---|---|\n" +
		all.row("all runs") + good.row("runs without a violation") +
		"\nEach kind of fault since it last struck in a run with a violation, and the longest wait of any operation, in seconds:\n\n" +
		"| fault | | times | longest wait | errors |\n|---|---|---|---|---|\n" + kinds + "\n" + totalsEnd + tail, nil
}

// kind adds up what one kind of fault came to.
type kind struct {
	name, title   string
	times, errors int
	longest       float64
}

// addUpFaults adds up the rows of faults. Of runs, by commit and seed, it takes whether
// they were violated.
func addUpFaults(text string, violated map[string]bool) (string, error) {
	var all []*kind
	for cells := range rowsOf(text, lastOfFault) {
		bad, known := violated[cells[commitOfFault]+" "+cells[seedOfFault]]
		if !known {
			continue // the head of the table
		}
		i := slices.IndexFunc(all, func(k *kind) bool { return k.name == cells[nameOfFault] })
		if i < 0 {
			i = len(all)
			all = append(all, &kind{name: cells[nameOfFault], title: cells[titleOfFault]})
		}
		if bad {
			*all[i] = kind{name: cells[nameOfFault], title: cells[titleOfFault]}
			continue
		}
		times, err := strconv.Atoi(cells[timesOfFault])
		if err != nil {
			return "", fmt.Errorf("a fault of the ledger: %w", err)
		}
		errors, err := strconv.Atoi(cells[errorsOfFault])
		if err != nil {
			return "", fmt.Errorf("a fault of the ledger: %w", err)
		}
		waits := strings.Split(cells[waitedOfFault], " / ")
		longest, err := strconv.ParseFloat(waits[len(waits)-1], 64)
		if err != nil {
			return "", fmt.Errorf("a fault of the ledger: %w", err)
		}
		k := all[i]
		k.times, k.errors, k.longest = k.times+times, k.errors+errors, max(k.longest, longest)
	}
	slices.SortFunc(all, func(a, b *kind) int { return strings.Compare(a.name, b.name) })
	var rows strings.Builder
	for _, k := range all {
		rows.WriteString(row(k.name, k.title, k.times, fmt.Sprintf("%.1f", k.longest), k.errors))
	}
	return rows.String(), nil
}

// rowsOf yields the cells of a table's lines, counted from 1, that have at least so many.
func rowsOf(text string, least int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			cells := strings.Split(line, "|")
			if len(cells) < least+2 {
				continue
			}
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			if !yield(cells) {
				return
			}
		}
	}
}
