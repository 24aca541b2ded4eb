package history

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A fault planted in a busy history must be found by the check it breaks.
func TestPlantedFaultsAreFoundInBusyHistories(t *testing.T) {
	faults := []struct {
		check string
		plant func(*History, *Expect, *rand.Rand) bool
	}{
		{"K1", func(h *History, _ *Expect, rng *rand.Rand) bool {
			it := pick(h, rng, Send).Items[0]
			return forget(h, it.Body.Nonce, "") > 0
		}},
		{"K3", func(h *History, _ *Expect, rng *rand.Rand) bool {
			c := pick(h, rng, Receive)
			return forget(h, c.Items[0].Body.Nonce, c.Group) > 0
		}},
		{"K2", func(h *History, _ *Expect, rng *rand.Rand) bool {
			pick(h, rng, Receive).Items[0].Digest = "another"
			return true
		}},
		{"K5", func(h *History, x *Expect, rng *rand.Rand) bool {
			c := *pick(h, rng, Receive)
			c.Start += time.Hour
			c.End += time.Hour
			h.Calls = append(h.Calls, c)
			return true
		}},
		{"K6", func(h *History, x *Expect, rng *rand.Rand) bool {
			x.Faults = nil
			c := *pick(h, rng, Receive)
			c.Start = c.End
			for i := range c.Items {
				c.Items[i].Handle += "again"
			}
			h.Calls = append(h.Calls, c)
			return true
		}},
		{"K11", func(_ *History, x *Expect, rng *rand.Rand) bool {
			x.Counters[rng.IntN(len(x.Counters))].DeadProduced++
			return true
		}},
	}
	for _, f := range faults {
		t.Run(f.check, func(t *testing.T) {
			tried := 0
			for seed := range uint64(6) {
				h, x := simulate(t, seed, 3, 40)
				if !f.plant(h, &x, rand.New(rand.NewPCG(seed, 2))) {
					continue
				}
				tried++
				r, err := NewRun(h, x)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range Checkers() {
					if c.Name == f.check && len(c.Check(r)) == 0 {
						t.Errorf("seed %d: nothing found", seed)
					}
				}
			}
			if tried < 3 {
				t.Errorf("the fault was planted only %d times", tried)
			}
		})
	}
}

// pick returns an answered call of the kind, with one copy of one message that was
// settled without trouble by every group.
func pick(h *History, rng *rand.Rand, op Op) *Call {
	sends, given, bad := map[string]int{}, map[string]int{}, map[string]bool{}
	byHandle := map[string]string{}
	for _, c := range h.Calls {
		for _, it := range c.Items {
			n := it.Body.Nonce
			switch c.Op {
			case Send:
				sends[n]++
				bad[n] = bad[n] || c.Result != OK
			case Receive:
				given[n]++
				byHandle[it.Handle] = n
			case DeadReceive:
				bad[n] = true
			}
		}
	}
	for _, c := range h.Calls {
		for _, it := range c.Items {
			if n := byHandle[it.Handle]; c.Op == Ack && it.Result != OK {
				bad[n] = true
			}
		}
	}
	var fit []int
	for i, c := range h.Calls {
		if c.Op != op || c.Result != OK || len(c.Items) == 0 {
			continue
		}
		if n := c.Items[0].Body.Nonce; sends[n] == 1 && given[n] == 2 && !bad[n] {
			fit = append(fit, i)
		}
	}
	c := &h.Calls[fit[rng.IntN(len(fit))]]
	c.Items = slices.Clone(c.Items)
	return c
}

// forget takes a message out of all deliveries to a group, or to all groups.
func forget(h *History, nonce, group string) int {
	n := 0
	for i := range h.Calls {
		c := &h.Calls[i]
		if c.Op == Receive && (group == "" || c.Group == group) {
			before := len(c.Items)
			c.Items = slices.DeleteFunc(slices.Clone(c.Items), func(it Item) bool { return it.Body.Nonce == nonce })
			n += before - len(c.Items)
		}
	}
	return n
}
