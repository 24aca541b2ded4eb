package deploy

import (
	"testing"

	"dms/deploy/engine"
)

func TestOnlyWhatIsStalledEverywhereGoesOn(t *testing.T) {
	k := stall{"A", "q_1"}
	at := func(last uint64) stallsWords {
		return stallsWords{Stalled: []engine.Stalled{
			{Account: "B", Stream: "q_1", Last: 99, Snapshot: 100}, {Account: "A", Stream: "q_1", Last: last, Snapshot: 100},
		}}
	}
	for name, c := range map[string]struct {
		all  map[string]stallsWords
		want bool
	}{
		"all hold as much":         {map[string]stallsWords{"n1": at(7), "n2": at(7), "n3": at(7)}, true},
		"others hold less":         {map[string]stallsWords{"n1": at(7), "n2": at(0), "n3": at(6)}, true},
		"one holds more":           {map[string]stallsWords{"n1": at(7), "n2": at(8), "n3": at(7)}, false},
		"one does not answer":      {map[string]stallsWords{"n1": at(7), "n2": at(7)}, false},
		"one is not stalled":       {map[string]stallsWords{"n1": at(7), "n2": at(7), "n3": {}}, false},
		"another stream is, there": {map[string]stallsWords{"n1": at(7), "n2": at(7), "n3": {Stalled: []engine.Stalled{{Account: "B", Stream: "q_1"}}}}, false},
	} {
		if got := furthest(c.all, k, 7); got != c.want {
			t.Errorf("%s: it goes on is %t", name, got)
		}
	}
}
