package cluster

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func node(name, sees string, change ...func(*Member)) Node {
	m := Member{Name: name, Up: true, Sees: sees}
	for _, f := range change {
		f(&m)
	}
	return Node{Name: name, Ready: true, Members: []Member{m}}
}

func TestTheVerdictSaysHowManyMayBeLost(t *testing.T) {
	down := func(m *Member) { m.Up, m.Why = false, "down" }
	lagging := func(m *Member) { m.Behind = 2 }
	offline := func(m *Member) { m.Offline = 1 }
	for _, c := range []struct {
		nodes   []Node
		full    bool
		want    string
		stores  bool
		canLose int
	}{
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a")}, false, "3 of 3, can lose 1", true, 1},
		{[]Node{node("a", "a"), node("b", "a")}, false, "2 of 3, can lose none", true, 0},
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a", down)}, false, "2 of 3, can lose none", true, 0},
		{[]Node{node("a", "a"), node("b", "a", offline)}, false, "2 of 3, can lose none", true, 0},
		{[]Node{node("a", "a")}, false, "1 of 3, nothing is stored", false, 0},
		{nil, false, "0 of 3, nothing is stored", false, 0},
		{[]Node{node("a", ""), node("b", ""), node("c", "")}, false, "0 of 3, nothing is stored", false, 0},
		// Two that follow each other, and one that follows a leader that is gone.
		{[]Node{node("a", "a"), node("b", "a"), node("c", "x")}, false, "2 of 3, can lose none", true, 0},
		{[]Node{node("a", "a"), node("b", "b"), node("c", "c")}, false, "1 of 3, nothing is stored", false, 0},
		{[]Node{node("a", "a", lagging), node("b", "a"), node("c", "a")}, false, "3 of 3, can lose none until 2 replicas have caught up", true, 0},
		{[]Node{node("a", "a", offline), node("b", "a"), node("c", "a")}, false, "3 of 3, can lose none until 1 replica has caught up", true, 0},
		// While one takes the place of another, before and after that one is stopped.
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a"), node("d", "a")}, false, "4 of 4, can lose 1", true, 1},
		{[]Node{node("a", "a"), node("b", "a"), node("d", "a")}, false, "3 of 3, can lose 1", true, 1},
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a")}, true, "3 of 3, nothing is stored: the disks are nearly full", false, 1},
	} {
		got := Sum([]string{"a", "b", "c"}, c.nodes, c.full)
		if got.Verdict != c.want || got.Stores != c.stores || got.CanLose != c.canLose {
			t.Errorf("%+v: %q, stores %v, can lose %d; want %q, %v, %d", c.nodes, got.Verdict, got.Stores, got.CanLose, c.want, c.stores, c.canLose)
		}
	}
}

func TestMembersThatNobodySpeaksOfAreNamed(t *testing.T) {
	got := Sum([]string{"a", "b", "c"}, []Node{node("c", "c"), node("a", "c")}, false)
	if diff := cmp.Diff([]string{"b"}, got.Silent); diff != "" {
		t.Errorf("silent members (-want +got):\n%s", diff)
	}
	if got.Leader != "c" || got.Nodes[0].Name != "a" {
		t.Errorf("the leader is %q, the first node %q", got.Leader, got.Nodes[0].Name)
	}
	if got := Sum([]string{"a", "b", "c"}, []Node{node("a", "a")}, false); got.Leader != "" {
		t.Errorf("a minority has the leader %q", got.Leader)
	}
	if got.Nodes[0].Findings == nil || Sum(nil, nil, false).Silent == nil {
		t.Error("what is empty would be written as null")
	}
}

func TestAMemberIsRemovedOnlyWhenEnoughOthersStore(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, c := range []struct {
		nodes []Node
		may   bool
	}{
		{[]Node{node("a", "a"), node("b", "a")}, false},
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a")}, false},
		{[]Node{node("a", "a"), node("b", "a"), node("d", "a")}, true},
		{[]Node{node("a", "a"), node("b", "a"), node("c", "a"), node("d", "a")}, false},
		{[]Node{node("a", "a"), node("b", "a"), node("d", "")}, false},
		{[]Node{node("a", "a"), node("b", "b"), node("d", "d")}, false},
	} {
		if err := Sum(names, c.nodes, false).MayRemove("c"); (err == nil) != c.may || err != nil && !errors.Is(err, ErrNotNow) {
			t.Errorf("%+v: %v, want %v", c.nodes, err, c.may)
		}
	}
}
