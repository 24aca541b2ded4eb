package history

import (
	"slices"
	"strings"
	"testing"
)

// bad histories, each of which exactly one check must refuse, by the rule named.
var bad = []struct {
	name  string
	check string
	rule  string
	build func(*story)
}{
	{"a lost prefix", "K1", "lost prefix", func(s *story) {
		s.send("q", 0, 1, 1, 2, 3)
		s.yes(s.get("q", "g", 2, 3, 2, 3), 4, 5)
	}},
	{"a lost middle", "K1", "lost middle", func(s *story) {
		s.send("q", 0, 1, 1)
		s.send("q", 2, 3, 2)
		s.send("q", 4, 5, 3)
		s.yes(s.get("q", "g", 6, 7, 1, 3), 8, 9)
	}},
	{"a lost end", "K1", "lost postfix", func(s *story) {
		s.send("q", 0, 1, 1, 2, 3)
		s.yes(s.get("q", "g", 2, 3, 1, 2), 4, 5)
	}},
	{"everything lost", "K1", "lost all", func(s *story) { s.send("f", 0, 1, 1) }},
	{"a lost message of a FIFO queue", "K1", "lost middle", func(s *story) {
		s.send("f", 0, 1, 1, 2, 3)
		s.yes(s.get("f", "g", 2, 3, 1, 3), 4, 5)
	}},
	{"lost to one of two groups", "K3", "lost prefix", func(s *story) {
		s.x.Queues[0].Groups[1].Open = false
		s.send("q", 0, 1, 1, 2)
		s.yes(s.get("q", "g", 2, 3, 1, 2), 4, 5)
		s.yes(s.get("q", "h", 2, 3, 2), 4, 5)
	}},
	{"never sent", "K2", "never sent", func(s *story) {
		c := s.send("q", 0, 1, 1)
		s.get("q", "g", 2, 3, 1)
		c.Items, s.calls = nil, s.calls[1:]
	}},
	{"its send was refused", "K2", "answered as failed", func(s *story) {
		refuse(s.send("q", 0, 1, 1), "10540010")
		s.get("q", "g", 2, 3, 1)
	}},
	{"one of a batch was refused", "K2", "answered as failed", func(s *story) {
		s.send("q", 0, 1, 1, 2).Items[1].Result = Fail
		s.get("q", "g", 2, 3, 1, 2)
	}},
	{"corrupt body", "K2", "corrupt", func(s *story) {
		s.send("q", 0, 1, 1)
		s.yes(s.get("q", "g", 2, 3, 1), 4, 5)
		s.get("q", "g", 6, 7, 1).Items[0] = Item{Corrupt: "its hash does not fit"}
	}},
	{"altered attributes", "K2", "altered", func(s *story) {
		s.send("q", 0, 1, 1)
		s.get("q", "g", 2, 3, 1).Items[0].Digest = "another"
	}},
	{"altered fields", "K2", "altered", func(s *story) {
		s.send("q", 0, 1, 1)
		s.get("q", "g", 2, 3, 1)
		s.get("q", "h", 2, 3, 1).Items[0].Body.Seq = 9
	}},
	{"of another queue", "K2", "sent to another queue", func(s *story) {
		s.send("q", 0, 1, 1)
		s.yes(s.get("q", "g", 2, 3, 1), 4, 5)
		s.get("f", "g", 6, 7, 1)
	}},
	{"delivered before it was sent", "K2", "before it was sent", func(s *story) {
		c := s.send("q", 4, 5, 1)
		s.get("q", "g", 1, 2, 1)
		c.Start, c.End = seconds(4), seconds(5)
	}},
	{"a duplicate that raced its acknowledgement", "K4", "unexplained", func(s *story) {
		s.send("q", 0, 1, 1)
		s.yes(s.get("q", "g", 2, 3, 1), 4, 8)
		s.get("q", "g", 5, 6, 1)
	}},
	{"a duplicate of another message's failure", "K6", "two live", func(s *story) {
		s.send("q", 0, 1, 1, 2)
		c := s.get("q", "g", 2, 3, 1, 2)
		s.ack(Ack, "g", c, 4, 5, "-n")
		s.get("q", "g", 6, 7, 1)
	}},
	{"delivered after it was settled", "K5", "settled", func(s *story) {
		s.send("q", 0, 1, 1)
		s.yes(s.get("q", "g", 2, 3, 1), 4, 5)
		s.get("q", "g", 60, 61, 1)
	}},
	{"delivered after it was settled, in a fault", "K5", "settled", func(s *story) {
		s.fault(5, 60)
		s.send("f", 0, 1, 1)
		s.yes(s.get("f", "g", 2, 3, 1), 4, 5)
		s.get("f", "g", 7, 8, 1)
	}},
	{"two live leases", "K6", "two live", func(s *story) {
		s.send("q", 0, 1, 1)
		s.get("q", "g", 2, 3, 1)
		s.get("q", "g", 4, 31.9, 1)
	}},
	{"two live leases of 300 s", "K6", "two live", func(s *story) {
		s.send("f", 0, 1, 1)
		s.get("f", "g", 2, 3, 1).AckWait = seconds(300)
		s.get("f", "g", 35, 36, 1)
	}},
	{"twice in one batch", "K6", "two live", func(s *story) {
		s.send("q", 0, 1, 1)
		s.get("q", "g", 2, 3, 1, 1)
	}},
	{"two live leases after a refused failure", "K6", "two live", func(s *story) {
		s.send("q", 0, 1, 1)
		refuse(s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n"), "10542209")
		s.get("q", "g", 6, 7, 1)
	}},
	{"first deliveries swapped", "K7", "(a)", func(s *story) {
		s.send("f", 0, 1, 1)
		s.send("f", 2, 3, 2)
		s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
		s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
	}},
	{"messages of one request swapped", "K7", "(a)", func(s *story) {
		s.send("f", 0, 1, 1, 2)
		s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
		s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
	}},
	{"a later one while an earlier is unacknowledged", "K7", "(b)", func(s *story) {
		s.send("f", 0, 1, 1, 2)
		c := s.get("f", "g", 2, 3, 1)
		s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
		s.yes(c, 8, 9)
	}},
	{"another producer's later one while an earlier is unacknowledged", "K7", "(b)", func(s *story) {
		s.sendAs("a", "f", 0, 1, 1)
		s.sendAs("b", "f", 2, 3, 2)
		c := s.get("f", "g", 4, 5, 1)
		s.get("f", "g", 4, 6, 2)
		s.yes(c, 8, 9)
	}},
	{"order inside a batch", "K7", "(c)", func(s *story) {
		s.send("f", 0, 1, 1, 2, 3)
		s.yes(s.get("f", "g", 2, 3, 1, 3, 2), 4, 5)
	}},
	{"another one after a failure", "K7", "(d)", func(s *story) {
		s.sendAs("a", "f", 0, 1, 1) // sent at once with 2: neither stands surely before
		s.sendAs("b", "f", 0, 1, 2)
		c := s.get("f", "g", 2, 3, 1)
		s.ack(Ack, "g", c, 4, 5, "n")
		s.yes(s.get("f", "g", 6, 7, 2), 8, 9)
		s.yes(s.get("f", "g", 10, 11, 1), 12, 13)
	}},
	{"another one after a timeout", "K7", "(d)", func(s *story) {
		s.sendAs("a", "f", 0, 1, 1)
		s.sendAs("b", "f", 0, 1, 2)
		s.get("f", "g", 2, 3, 1)
		s.yes(s.get("f", "g", 40, 41, 2), 42, 43)
		s.yes(s.get("f", "g", 44, 45, 1), 46, 47)
	}},
	{"the second of a batch after both failed", "K7", "(d)", func(s *story) {
		s.sendAs("a", "f", 0, 1, 1)
		s.sendAs("b", "f", 0, 1, 2)
		s.ack(Ack, "g", s.get("f", "g", 2, 3, 1, 2), 4, 5, "nb")
		s.get("f", "g", 6, 7, 2, 1)
	}},
	{"two producers' messages swapped", "K7", "not linearizable", func(s *story) {
		s.sendAs("a", "f", 0, 1, 1)
		s.sendAs("b", "f", 2, 3, 2)
		s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
		s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
	}},
	{"a flipped handle accepted", "K8", "flipped handle accepted", func(s *story) {
		s.send("q", 0, 1, 1)
		c := s.get("q", "g", 2, 3, 1)
		s.misuse(Flipped, "q", "g", c, 4, 5).Items[0].Result = OK
		s.yes(s.get("q", "g", 40, 41, 1), 42, 43)
	}},
	{"a failed handle used again", "K8", "used_failed handle accepted", func(s *story) {
		s.send("q", 0, 1, 1)
		c := s.get("q", "g", 2, 3, 1)
		s.ack(Ack, "g", c, 4, 5, "n")
		s.misuse(UsedFailed, "q", "g", c, 6, 7).Items[0].Result = OK
		s.yes(s.get("q", "g", 8, 9, 1), 10, 11)
	}},
	{"a foreign handle counted instead of refused", "K8", "not refused", func(s *story) {
		s.send("q", 0, 1, 1)
		c := s.get("q", "g", 2, 3, 1)
		s.misuse(ForeignGroup, "q", "h", c, 4, 5).Items[0].Result = Fail
		s.yes(c, 6, 7)
	}},
	{"a foreign handle refused with the wrong code", "K8", "wrong code", func(s *story) {
		s.send("q", 0, 1, 1)
		c := s.get("q", "g", 2, 3, 1)
		refuse(s.misuse(ForeignQueue, "f", "g", c, 4, 5), "DMS.10542209")
		s.yes(c, 6, 7)
	}},
	{"an expired handle refused, but obeyed", "K8", "changed the state", func(s *story) {
		s.send("q", 0, 1, 1)
		c := s.get("q", "g", 2, 3, 1)
		refuse(s.misuse(Expired, "q", "g", c, 40, 41), "DMS.10542209")
		s.get("q", "g", 60, 62)
	}},
	{"a message's handle obeyed at the dead letters", "K8", "wrong_kind handle changed", func(s *story) {
		s.retryOnce()
		s.send("q", 0, 1, 1)
		s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
		d := s.receive(DeadReceive, "q", "g", 6, 7, 1)
		refuse(s.misuse(WrongKind, "q", "g", d, 8, 9), "DMS.10542205")
	}},
	{"dead letter missing after failures", "K9", "missing", func(s *story) {
		s.send("q", 0, 1, 1)
		s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
		s.ack(Ack, "g", s.get("q", "g", 6, 7, 1), 8, 9, "n")
	}},
	{"dead letter missing after timeouts", "K9", "missing", func(s *story) {
		s.send("f", 0, 1, 1)
		s.get("f", "g", 2, 3, 1)
		s.get("f", "g", 40, 41, 1)
		s.get("f", "g", 100, 101)
	}},
	{"delivered once too often", "K9", "after its last failure", func(s *story) {
		s.send("q", 0, 1, 1)
		s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
		s.ack(Ack, "g", s.get("q", "g", 6, 7, 1), 8, 9, "n")
		s.yes(s.get("q", "g", 10, 11, 1), 12, 13)
	}},
	{"dead letter settled, then there again", "K9", "twice", func(s *story) {
		d := buried(s)
		s.ack(DeadAck, "g", d, 12, 13, "y")
		s.receive(DeadReceive, "q", "g", 60, 61, 1)
	}},
	{"dead letter there twice", "K9", "twice", func(s *story) {
		buried(s)
		s.receive(DeadReceive, "q", "g", 12, 13, 1)
	}},
	{"dead letter after one failure", "K9", "too early", func(s *story) {
		s.send("q", 0, 1, 1)
		s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
		s.receive(DeadReceive, "q", "g", 6, 7, 1)
	}},
	{"dead letter without dead letters", "K9", "too early", func(s *story) {
		s.retry()
		buried(s)
	}},
	{"dead letter altered", "K9", "altered", func(s *story) { buried(s).Items[0].Digest = "another" }},
	{"delivered after its dead letter", "K9", "after its dead letter", func(s *story) {
		buried(s)
		s.get("q", "g", 40, 41, 1)
	}},
	{"acknowledged and dead letter", "K9", "acknowledged and", func(s *story) {
		s.send("q", 0, 1, 1)
		s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
		s.yes(s.get("q", "g", 6, 7, 1), 8, 9)
		s.receive(DeadReceive, "q", "g", 40, 41, 1)
	}},
	{"another tenant's body", "K10", "message", func(s *story) {
		s.send("q", 0, 1, 1)
		s.yes(s.get("q", "g", 2, 3, 1), 4, 5)
		s.get("q", "g", 6, 7, 1).Items[0].Body.Tenant = other
	}},
	{"another tenant's name in a list", "K10", "text", func(s *story) {
		s.call(Read, "", "", 0, 1, nil).Text = `{"queues":[{"name":"beta-orders"}]}`
	}},
	{"another tenant's id in an error", "K10", "text", func(s *story) {
		c := s.call(Read, "", "", 0, 1, nil)
		refuse(c, "10240001")
		c.Text = "queue of " + other + " not found"
	}},
	{"a request on another tenant's queue", "K10", "queue", func(s *story) { s.call(Ack, "o", "g", 0, 1, nil) }},
	{"one too few produced", "K11", "produced", func(s *story) { counted(s, 2, 2, 0, 0, 0, 0) }},
	{"one too few consumed", "K11", "consumed", func(s *story) { counted(s, 3, 2, 0, 0, 0, 0) }},
	{"one too many available", "K11", "available", func(s *story) { counted(s, 3, 3, 1, 0, 0, 0) }},
	{"one in flight at rest", "K11", "in flight", func(s *story) { counted(s, 3, 3, 0, 1, 0, 0) }},
	{"a dead letter too many", "K11", "dead letters produced", func(s *story) { counted(s, 3, 3, 0, 0, 1, 0) }},
	{"a dead letter not counted", "K11", "dead letters available", func(s *story) {
		buried(s)
		s.count("q", 1, 1, 0, 0, 1, 0)
	}},
	{"counters that do not add up", "K11", "not consumed and available", func(s *story) {
		none(s.send("q", 0, 1, 1, 2))
		s.count("q", 2, 0, 1, 0, 0, 0)
	}},
	{"one key, stored twice", "K15", "stored twice", func(s *story) {
		twice(s)
		s.yes(s.get("q", "g", 6, 7, 1), 8, 9)
		s.yes(s.get("q", "g", 10, 11, 1), 12, 13)
	}},
	{"one key, delivered twice in a batch", "K15", "stored twice", func(s *story) {
		twice(s)
		s.yes(s.get("q", "g", 6, 7, 1, 1), 8, 9)
	}},
	{"one key, two ids", "K15", "two ids", func(s *story) {
		first, second := twice(s)
		first.Items[0].ID, second.Items[0].ID = "a", "b"
		first.Status, first.Result, first.Items[0].Result = 201, OK, OK
		s.yes(s.get("q", "g", 6, 7, 1), 8, 9)
	}},
}

// buried fails a message as often as allowed and delivers its dead letter.
func buried(s *story) *Call {
	s.send("q", 0, 1, 1)
	s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
	s.ack(Ack, "g", s.get("q", "g", 6, 7, 1), 8, 9, "n")
	return s.receive(DeadReceive, "q", "g", 10, 11, 1)
}

// counted consumes three messages and declares counters.
func counted(s *story, produced, consumed, available, inFlight, dead, deadLeft int64) {
	s.send("q", 0, 1, 1, 2, 3)
	s.yes(s.get("q", "g", 2, 3, 1, 2, 3), 4, 5)
	s.count("q", produced, consumed, available, inFlight, dead, deadLeft)
}

// twice sends one message two times under one key, the first time without an answer.
func twice(s *story) (first, second *Call) {
	first = s.send("q", 0, 1, 1)
	none(first)
	second = s.send("q", 2, 3, 1)
	first.Key, second.Key = "key", "key"
	return first, second
}

func TestEveryCheckerCatchesItsBadHistories(t *testing.T) {
	caught := make(map[string]int)
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.build(s)
			r := s.run()
			ruled := false
			for _, c := range Checkers() {
				found := c.Check(r)
				if (len(found) > 0) != (c.Name == tt.check) {
					t.Errorf("%s found %d violations, and only %s should find any: %v", c.Name, len(found), tt.check, found)
				}
				for _, v := range found {
					if v.Check != c.Name {
						t.Errorf("%s reports a violation of %s", c.Name, v.Check)
					}
					ruled = ruled || strings.Contains(v.Rule, tt.rule)
				}
			}
			if !ruled {
				t.Errorf("no violation by the rule %q", tt.rule)
			}
			rep := Judge(r)
			if rep.OK() || !strings.Contains(rep.String(), "VIOLATIONS") {
				t.Errorf("the report is content:\n%v", rep)
			}
			caught[tt.check]++
		})
	}
	for _, c := range Checkers() {
		if caught[c.Name] == 0 {
			t.Errorf("%s has no bad history to catch", c.Name)
		}
	}
	names := make([]string, 0, len(caught))
	for name := range caught {
		names = append(names, name)
	}
	if len(names) != len(Checkers()) {
		slices.Sort(names)
		t.Errorf("bad histories for %v, checkers %d", names, len(Checkers()))
	}
}
