package history

import (
	"bytes"
	"testing"
)

// Histories of a correct service. Where a class is named, one duplicate must be in it.
func TestNothingIsSaidAgainstGoodHistories(t *testing.T) {
	tests := []struct {
		name  string
		class Class
		build func(*story)
	}{
		{"nothing happened", "", func(*story) {}},
		{"sent, delivered, settled, counted", "", func(s *story) { counted(s, 3, 3, 0, 0, 0, 0) }},
		{"an unknown send was stored", "", func(s *story) {
			none(s.send("q", 0, 1, 1))
			s.yes(s.get("q", "g", 2, 3, 1), 4, 5)
			s.count("q", 1, 1, 0, 0, 0, 0)
		}},
		{"an unknown send was not stored", "", func(s *story) {
			none(s.send("q", 0, 1, 1))
			s.count("q", 0, 0, 0, 0, 0, 0)
		}},
		{"an unknown send was stored late and out of order", "", func(s *story) {
			none(s.send("f", 0, 1, 1))
			s.send("f", 2, 3, 2)
			s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
			s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
		}},
		{"an unknown acknowledgement, then again", UnknownAck, func(s *story) {
			s.send("q", 0, 1, 1)
			none(s.yes(s.get("q", "g", 2, 3, 1), 4, 5))
			s.yes(s.get("q", "g", 40, 41, 1), 42, 43)
			s.count("q", 1, 1, 0, 0, 0, 0)
		}},
		{"an unknown acknowledgement that counted", "", func(s *story) {
			s.send("f", 0, 1, 1, 2)
			none(s.yes(s.get("f", "g", 2, 3, 1), 4, 5))
			s.yes(s.get("f", "g", 6, 7, 2), 8, 9)
		}},
		{"delivered again while its acknowledgement ran late", AckTimeout, func(s *story) {
			s.send("q", 0, 1, 1)
			s.yes(s.get("q", "g", 2, 3, 1), 31, 40)
			s.yes(s.get("q", "g", 32, 36, 1), 41, 42)
		}},
		{"an early duplicate in a fault", FaultWindow, func(s *story) {
			s.fault(3, 10)
			s.send("q", 0, 1, 1)
			s.get("q", "g", 2, 4, 1).AckWait = seconds(300)
			s.yes(s.get("q", "g", 36, 37, 1), 38, 39)
		}},
		{"a dead letter twice in a fault", FaultWindow, func(s *story) {
			s.fault(10, 12)
			buried(s)
			s.ack(DeadAck, "g", s.receive(DeadReceive, "q", "g", 12, 13, 1), 14, 15, "y")
			s.count("q", 1, 1, 0, 0, 1, 0)
		}},
		{"again after a timeout", AckTimeout, func(s *story) {
			s.send("q", 0, 1, 1)
			s.get("q", "g", 2, 3, 1)
			s.yes(s.get("q", "g", 20, 34, 1), 35, 36)
		}},
		{"again after a failure", NegativeAck, func(s *story) {
			s.send("f", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("f", "g", 2, 3, 1, 2), 4, 5, "yn")
			s.yes(s.get("f", "g", 6, 7, 2), 8, 9)
		}},
		{"a failure gives the whole batch of a FIFO queue back", NegativeAck, func(s *story) {
			s.send("f", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("f", "g", 2, 3, 1, 2), 4, 5, "n")
			s.yes(s.get("f", "g", 6, 7, 1, 2), 8, 9)
		}},
		{"a failure gives the whole batch of dead letters back", NegativeAck, func(s *story) {
			s.retryOnce()
			s.send("q", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
			s.ack(Ack, "g", s.get("q", "g", 6, 7, 2), 8, 9, "n")
			s.ack(DeadAck, "g", s.receive(DeadReceive, "q", "g", 10, 11, 1, 2), 12, 13, "n")
			s.ack(DeadAck, "g", s.receive(DeadReceive, "q", "g", 14, 15, 1, 2), 16, 17, "yy")
		}},
		{"success behind a failure is a failure", NegativeAck, func(s *story) {
			s.send("q", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("q", "g", 2, 3, 1, 2), 4, 5, "nb")
			s.yes(s.get("q", "g", 6, 7, 1, 2), 8, 9)
		}},
		{"dead letter, then the next", NegativeAck, func(s *story) {
			s.send("f", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("f", "g", 2, 3, 1), 4, 5, "n")
			s.ack(Ack, "g", s.get("f", "g", 6, 7, 1), 8, 9, "n")
			s.yes(s.get("f", "g", 10, 11, 2), 12, 13)
			s.ack(DeadAck, "g", s.receive(DeadReceive, "f", "g", 14, 15, 1), 16, 17, "y")
			s.count("f", 2, 2, 0, 0, 1, 0)
		}},
		{"a dead letter after a receive without an answer", "", func(s *story) {
			s.send("q", 0, 1, 1)
			none(s.get("q", "g", 2, 3))
			s.ack(Ack, "g", s.get("q", "g", 40, 41, 1), 42, 43, "n")
			s.receive(DeadReceive, "q", "g", 44, 45, 1)
			s.count("q", 1, 1, 0, 0, 1, 1)
		}},
		{"the charge of one behind a failure is not demanded", NegativeAck, func(s *story) {
			s.retryOnce()
			s.send("q", 0, 1, 1, 2)
			s.ack(Ack, "g", s.get("q", "g", 2, 3, 1, 2), 4, 5, "nb")
			s.yes(s.get("q", "g", 6, 7, 2), 8, 9)
			s.receive(DeadReceive, "q", "g", 10, 11, 1)
		}},
		{"a resend without a key may be stored twice", Resent, func(s *story) {
			none(s.send("f", 0, 1, 1))
			s.send("f", 2, 3, 1)
			s.yes(s.get("f", "g", 4, 5, 1), 6, 7)
			s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
			s.count("f", 2, 2, 0, 0, 0, 0)
		}},
		{"a key may be used again after the window", Resent, func(s *story) {
			_, second := twice(s)
			second.Start, second.End = seconds(200), seconds(201)
			s.yes(s.get("q", "g", 210, 211, 1, 1), 212, 213)
		}},
		{"a key kept its promise", "", func(s *story) {
			first, second := twice(s)
			first.Items[0].ID, second.Items[0].ID = "", "b"
			s.yes(s.get("q", "g", 6, 7, 1), 8, 9)
			s.count("q", 1, 1, 0, 0, 0, 0)
		}},
		{"sends at the same time in either order", "", func(s *story) {
			s.sendAs("a", "f", 0, 2, 1)
			s.sendAs("b", "f", 1, 3, 2)
			s.yes(s.get("f", "g", 4, 5, 2, 1), 6, 7)
		}},
		{"a delayed message comes after later ones", "", func(s *story) {
			s.send("f", 0, 1, 1).Items[0].Delay = seconds(5)
			s.send("f", 2, 3, 2)
			s.yes(s.get("f", "g", 4, 5, 2), 6, 7)
			s.yes(s.get("f", "g", 8, 9, 1), 10, 11)
		}},
		{"a misused handle was refused", AckTimeout, func(s *story) {
			s.send("q", 0, 1, 1)
			c := s.get("q", "g", 2, 3, 1)
			refuse(s.misuse(Expired, "q", "g", c, 40, 41), "DMS.10542209")
			refuse(s.misuse(ForeignGroup, "q", "h", c, 40, 41), "10540004")
			s.misuse(Truncated, "q", "g", c, 40, 41).Status = 429
			s.calls[len(s.calls)-1].Result = Fail
			s.yes(s.get("q", "g", 42, 43, 1), 44, 45)
		}},
		{"misused handles of dead letters were refused", "", func(s *story) {
			s.retryOnce()
			s.send("q", 0, 1, 1)
			s.ack(Ack, "g", s.get("q", "g", 2, 3, 1), 4, 5, "n")
			d := s.receive(DeadReceive, "q", "g", 6, 7, 1)
			refuse(s.misuse(WrongKind, "q", "g", d, 8, 9), "DMS.10542205")
			refuse(s.misuse(OtherKey, "q", "g", d, 8, 9), "DMS.10542209")
			s.ack(DeadAck, "g", d, 10, 11, "y")
		}},
		{"an acknowledgement repeated", "", func(s *story) {
			s.send("f", 0, 1, 1, 2)
			c := s.get("f", "g", 2, 3, 1, 2)
			s.yes(c, 4, 5)
			s.yes(c, 6, 7)
		}},
		{"expired before anybody read it", "", func(s *story) {
			s.send("q", 0, 1, 1)
			s.get("q", "g", 72*3600, 72*3600+1)
			s.count("q", 0, 0, 0, 0, 0, 0)
		}},
		{"a group that was not read to its end", "", func(s *story) {
			s.open("q")
			s.send("q", 0, 1, 1, 2)
			s.get("q", "g", 2, 3, 1)
		}},
		{"own names and ids in answers", "", func(s *story) {
			s.call(Read, "", "", 0, 1, nil).Text = "alpha-orders of " + tenant
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.build(s)
			rep := Judge(s.run())
			if !rep.OK() {
				t.Errorf("violations:\n%v", rep)
			}
			if tt.class != "" && rep.Duplicates[tt.class] == 0 {
				t.Errorf("no duplicate of class %q: %v", tt.class, rep.Duplicates)
			}
			if tt.class == "" && len(rep.Duplicates) > 0 {
				t.Errorf("got duplicates %v, want none", rep.Duplicates)
			}
		})
	}
}

// retryOnce makes a message of the standard queue a dead letter after one failure.
func (s *story) retryOnce() { s.x.Queues[0].MaxConsume = 1 }

func TestASendCutOffIsNotAPhantom(t *testing.T) {
	s := newStory(t)
	s.send("q", 0, 1, 1)
	c := *s.get("q", "g", 2, 3, 1)
	for _, cut := range []bool{true, false} {
		r, err := NewRun(&History{Calls: []Call{c}, Cut: cut}, s.x)
		if err != nil {
			t.Fatal(err)
		}
		if found := Phantoms(r); (len(found) == 0) != cut {
			t.Errorf("cut %v: got %v", cut, found)
		}
	}
}

func TestExpectationsThatDoNotFitAreRefused(t *testing.T) {
	tests := []struct {
		name  string
		build func(*story)
	}{
		{"a queue that is not expected", func(s *story) { s.send("x", 0, 1, 1) }},
		{"a group that is not expected", func(s *story) {
			s.send("q", 0, 1, 1)
			s.get("q", "x", 2, 3, 1)
		}},
		{"two messages with one nonce", func(s *story) {
			s.send("q", 0, 1, 1)
			s.send("q", 2, 3, 1).Items[0].Body.Seq = 2
		}},
		{"a queue expected twice", func(s *story) { s.x.Queues = append(s.x.Queues, s.x.Queues[0]) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.build(s)
			h := &History{}
			for _, c := range s.calls {
				h.Calls = append(h.Calls, *c)
			}
			if _, err := NewRun(h, s.x); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestTheReportFitsAScreen(t *testing.T) {
	s := newStory(t)
	counted(s, 3, 3, 0, 0, 0, 0)
	var out bytes.Buffer
	if _, err := Judge(s.run()).WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines > 24 {
		t.Errorf("the report has %d lines:\n%s", lines, &out)
	}
	for _, want := range []string{"3 attempted, 3 acked, 0 refused, 0 unknown", "delivered   3, settled 3", "K15"} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}
