package audit

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

func at(d time.Duration) time.Time { return time.Unix(1_000_000, 0).UTC().Add(d) }

func TestUsesAreCountedPerMinuteOperationAndKey(t *testing.T) {
	tally := NewTally("n1")
	ada, key := Actor{Issuer: "i", Subject: "ada"}, Actor{Issuer: "access-key", Subject: "K1", KeyID: "K1"}
	for range 3 {
		tally.Add(project, Use, Count{Action: "sendMessages", Actor: ada, Source: "192.0.2.1"}, at(0))
		tally.Add(project, Use, Count{Action: "sendMessages", Actor: key, Source: "192.0.2.2"}, at(time.Second))
	}
	tally.Add(project, Use, Count{Action: "ackMessages", Actor: ada}, at(2*time.Second))
	if due := tally.Take(at(59*time.Second), false); len(due) != 0 {
		t.Errorf("before the minute is over: %+v", due)
	}
	since := at(0)
	want := []Due{{Project: project, Record: Record{
		Time: at(time.Minute), Kind: Use, Node: "n1", Since: &since,
		Counts: []Count{
			{Action: "sendMessages", Actor: key, Calls: 3}, {Action: "sendMessages", Actor: ada, Calls: 3},
			{Action: "ackMessages", Actor: ada, Calls: 1},
		},
	}}}
	if diff := cmp.Diff(want, tally.Take(at(time.Minute), false)); diff != "" {
		t.Errorf("after a minute (-want +got):\n%s", diff)
	}
	if due := tally.Take(at(time.Hour), true); len(due) != 0 {
		t.Errorf("counted twice: %+v", due)
	}
}

func TestRefusalsAreFoldedBySourceAndReason(t *testing.T) {
	tally := NewTally("n1")
	for i := range 1000 {
		tally.Add(project, Refusal, Count{
			Action: "deleteQueue", Actor: Actor{Subject: fmt.Sprint("user", i)}, Source: "192.0.2.1", Code: "DMS.10240311",
		}, at(0))
	}
	due := tally.Take(at(time.Minute), false)
	if len(due) != 1 || len(due[0].Record.Counts) != 1 {
		t.Fatalf("got %+v, want one count", due)
	}
	want := Count{Action: "deleteQueue", Actor: Actor{Subject: "user0"}, Source: "192.0.2.1", Code: "DMS.10240311", Calls: 1000}
	if diff := cmp.Diff(want, due[0].Record.Counts[0]); diff != "" {
		t.Errorf("count (-want +got):\n%s", diff)
	}
}

// TestNobodyCanFillATrailByBeingRefused lets three nodes refuse callers from ever new
// addresses for ninety days.
func TestNobodyCanFillATrailByBeingRefused(t *testing.T) {
	tally := NewTally("a-node-with-a-name-of-32-letters")
	const step, days = time.Minute, 90
	bytes := 0
	for now, n := time.Duration(0), 0; now < days*24*time.Hour; now += step {
		for range 20 {
			n++
			tally.Add(project, Refusal, Count{
				Action: "consumeDeadLetters", Actor: Actor{Issuer: "https://login.example.com/realms/main", Subject: "an-attacker-with-a-token"},
				Source: fmt.Sprintf("2001:db8:%x:%x::/64", n>>16, n&0xffff), Code: "DMS.10240311",
			}, at(now))
		}
		for _, d := range tally.Take(at(now), false) {
			if n := len(d.Record.Counts); n > maxRefusals+1 {
				t.Fatalf("a record with %d counts", n)
			}
			data, err := json.Marshal(d.Record)
			if err != nil {
				t.Fatal(err)
			}
			bytes += len(data)
		}
	}
	if total := 3 * bytes; total > tenancy.AuditBytes/2 {
		t.Errorf("refusals of %d days take %d bytes, more than half of %d", days, total, tenancy.AuditBytes)
	}
}

func TestAfterAQuietTimeRefusalsAreTimedByTheMinuteAgain(t *testing.T) {
	tally := NewTally("n1")
	refuse := func(now time.Duration) { tally.Add(project, Refusal, Count{Code: "c"}, at(now)) }
	refuse(0)
	if due := tally.Take(at(time.Minute), false); len(due) != 1 {
		t.Fatalf("first: %+v", due)
	}
	refuse(time.Minute)
	if due := tally.Take(at(2*time.Minute), false); len(due) != 0 {
		t.Errorf("refusals that go on are recorded as often: %+v", due)
	}
	if due := tally.Take(at(3*time.Minute), false); len(due) != 1 {
		t.Errorf("the second: %+v", due)
	}
	tally.Take(at(time.Hour), false)
	refuse(time.Hour)
	if due := tally.Take(at(time.Hour+time.Minute), false); len(due) != 1 {
		t.Errorf("after a quiet hour: %+v", due)
	}
}

func TestATallyIsBounded(t *testing.T) {
	tally := NewTally("n1")
	for i := range 3 * maxProjects {
		id := tenancy.ProjectID(fmt.Sprintf("%032x", i))
		tally.Add(id, Use, Count{Action: "a"}, at(0))
		tally.Add(id, Refusal, Count{Code: "c"}, at(0))
	}
	for i := range 1000 {
		tally.Add(project, Use, Count{Action: fmt.Sprint("a", i%5), Actor: Actor{Subject: fmt.Sprint(i)}}, at(0))
	}
	if n := len(tally.windows); n > 2*maxProjects+2 {
		t.Errorf("%d projects are counted at a time", n)
	}
	var calls int64
	for _, d := range tally.Take(at(0), true) {
		if n := len(d.Record.Counts); n > maxUses+5 {
			t.Errorf("%d counts for %s", n, d.Project)
		}
		for _, c := range d.Record.Counts {
			calls += c.Calls
		}
	}
	if want := int64(2*3*maxProjects + 1000); calls != want {
		t.Errorf("%d calls are counted, want %d: none may be forgotten", calls, want)
	}
}

func TestTextsOfStrangersAreCutShort(t *testing.T) {
	long := string(make([]rune, 0, 1)) + "\xff" + fmt.Sprintf("%0300d", 0)
	a := ActorOf(tenancy.Identity{Subject: long, TokenID: "é" + fmt.Sprintf("%0254d", 0) + "é"})
	if len(a.Subject) > maxText+2 || len(a.TokenID) > maxText {
		t.Errorf("texts of %d and %d bytes", len(a.Subject), len(a.TokenID))
	}
	for _, s := range []string{a.Subject, a.TokenID} {
		data, err := json.Marshal(s)
		var back string
		if err != nil || json.Unmarshal(data, &back) != nil || back != s {
			t.Errorf("%q does not survive being stored", s)
		}
	}
}
