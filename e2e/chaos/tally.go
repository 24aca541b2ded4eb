package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"dms/e2e/history"
)

// tally adds up the rounds of a run.
type tally struct {
	Seed       uint64
	For        time.Duration
	Flags      string // of the command line that repeat it, beside the seed
	Rounds     int
	Messages   history.Totals
	Strikes    []strike
	Operations int // sends and acknowledgements
	Errors     int // sends without an answer in the end
	Lapsed     int // acknowledgements without an answer until their leases ended

	Violations int      // of the checks
	Violated   []string // names of the checks
	Left       int      // groups that were not read to their end
	Complaints []string

	sum hash.Hash // of all histories, one after the other
}

func newTally(seed uint64, load time.Duration, flags string) *tally {
	return &tally{Seed: seed, For: load, Flags: flags, sum: sha256.New()}
}

// add adds a round and reads its history once more, for the hash.
func (t *tally) add(p *played) error {
	t.Rounds++
	t.Messages.Stored += p.Stored
	t.Messages.Settled += p.Settled
	t.Messages.Deliveries += p.Deliveries
	t.Messages.Unknown += p.Unknown
	t.Strikes = append(t.Strikes, p.Strikes...)
	t.Operations += len(p.Operations)
	for _, o := range p.Operations {
		switch {
		case failed(o):
			t.Errors++
		case !o.Known:
			t.Lapsed++
		}
	}
	for i, f := range p.Findings {
		n := len(f.Violations)
		if n == 0 {
			n = len(p.Strict.Findings[i].Violations)
		}
		if t.Violations += n; n > 0 && !slices.Contains(t.Violated, f.Name) {
			t.Violated = append(t.Violated, f.Name)
		}
	}
	t.Left += len(p.Left)
	t.Complaints = append(t.Complaints, p.Outcome.Complaints...)
	t.Complaints = append(t.Complaints, p.Complaints...)
	file, err := os.Open(p.History)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(t.sum, file)
	return err
}

// ok reports whether a correct service could have done all this.
func (t *tally) ok() bool {
	return t.Violations == 0 && t.Left == 0 && len(t.Complaints) == 0 && t.Errors == 0
}

// digest is the hash of the recorded histories.
func (t *tally) digest() string { return hex.EncodeToString(t.sum.Sum(nil)) }

// count counts the strikes that a condition picks.
func (t *tally) count(pick func(fault) bool) (n int) {
	for _, s := range t.Strikes {
		if pick(s.Fault) {
			n++
		}
	}
	return n
}

// waits are what clients waited at most in each strike of a fault; "" is all faults.
func (t *tally) waits(name string) []time.Duration {
	var all []time.Duration
	for _, s := range t.Strikes {
		if name == "" || s.Fault.name == name {
			all = append(all, s.Worst)
		}
	}
	slices.Sort(all)
	return all
}

// percentile of sorted values, by the nearest rank; 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// waited tells median, 99th percentile and maximum in seconds.
func waited(sorted []time.Duration) string {
	return fmt.Sprintf("%.1f / %.1f / %.1f", percentile(sorted, 50).Seconds(), percentile(sorted, 99).Seconds(), percentile(sorted, 100).Seconds())
}

func (t *tally) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d, %d rounds: %d acknowledged, %d unknown, %d settled; %d faults; %d operations, %d sends without an answer, %d acknowledgements that lapsed\n",
		t.Seed, t.Rounds, t.Messages.Stored, t.Messages.Unknown, t.Messages.Settled, len(t.Strikes), t.Operations, t.Errors, t.Lapsed)
	for _, f := range t.kinds() {
		w := t.waits(f.name)
		fmt.Fprintf(&s, "%-8s %-40s %3d times, waited %s s\n", f.name, f.title, len(w), waited(w))
	}
	fmt.Fprintf(&s, "%d violations %v, %d groups not read to their end\n", t.Violations, t.Violated, t.Left)
	for _, c := range t.Complaints {
		fmt.Fprintf(&s, "COMPLAINT %s\n", c)
	}
	return s.String()
}

// kinds are the faults that struck, in the order of the list.
func (t *tally) kinds() []fault {
	return slices.DeleteFunc(faults(), func(f fault) bool { return len(t.waits(f.name)) == 0 })
}
