package mapping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func peekedBodies(ms []dms.Peeked) []string {
	var got []string
	for _, m := range ms {
		s := string(m.Payload)
		got = append(got, s[len(`{"body":"`):len(s)-2])
	}
	return got
}

// peekAll follows the cursors to the end.
func peekAll(t testing.TB, b *Broker, ref dms.QueueRef, p dms.Peek) (all []dms.Peeked) {
	t.Helper()
	for range 10_000 {
		page, err := b.Peek(t.Context(), ref, p)
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		all = append(all, page.Messages...)
		if page.Next == "" {
			return all
		}
		p.Cursor = page.Next
	}
	t.Fatal("the pages do not end")
	return nil
}

func TestAPeekShowsMessagesInPages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode})
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprintf("m%02d", i))
		}
		send(t, f.b, f.queue, want...)
		oldest := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InQueue, Limit: 10})
		if d := cmp.Diff(want, peekedBodies(oldest)); d != "" {
			t.Errorf("oldest first (-want +got):\n%s", d)
		}
		newest := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InQueue, Limit: 7, Newest: true})
		reversed := slices.Clone(want)
		slices.Reverse(reversed)
		if d := cmp.Diff(reversed, peekedBodies(newest)); d != "" {
			t.Errorf("newest first (-want +got):\n%s", d)
		}
		for i, m := range oldest {
			if m.Sequence != uint64(i+1) || m.ID == "" || time.Since(m.Sent) > time.Hour {
				t.Errorf("message %d is %+v", i, m)
			}
		}
		from := oldest[20]
		for _, p := range []dms.Peek{{FromSequence: from.Sequence}, {FromTime: from.Sent}} {
			p.Source, p.Limit = dms.InQueue, 100
			if d := cmp.Diff(want[20:], peekedBodies(peekAll(t, f.b, f.queue, p))); d != "" {
				t.Errorf("from %+v (-want +got):\n%s", p, d)
			}
			p.Newest = true
			back := reversed[4:]
			for i, m := range oldest { // messages of one request may be stored at one moment
				if p.FromSequence == 0 && i > 20 && m.Sent.Equal(from.Sent) {
					back = reversed[24-i:]
				}
			}
			if d := cmp.Diff(back, peekedBodies(peekAll(t, f.b, f.queue, p))); d != "" {
				t.Errorf("back from %+v (-want +got):\n%s", p, d)
			}
		}
		found := peekAll(t, f.b, f.queue, dms.Peek{Source: dms.InQueue, Limit: 1, Search: dms.Search{Filter: `body.endsWith("3")`}})
		if d := cmp.Diff([]string{"m03", "m13", "m23"}, peekedBodies(found)); d != "" {
			t.Errorf("search (-want +got):\n%s", d)
		}
		if c := counters(t, f.b, f.group); c.Available != 25 || c.Consumed != 0 {
			t.Errorf("looking changed the counters: %+v", c)
		}
	})
}

func TestAPeekShowsWhatBecameOfMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode dms.Mode) {
		f := newFixture(t, dms.NewQueue{Mode: mode, MaxConsumeCount: 1})
		send(t, f.b, f.queue, "acked", "dead", "held")
		ds := receiveExactly(t, f.b, f.group, 2)
		as := acks(ds, true, false)
		as[1].Reason = "no such customer"
		acknowledge(t, f.b, f.group, dms.Live, as, 1)
		receiveExactly(t, f.b, f.group, 1)
		send(t, f.b, f.queue, "waiting")
		// On its way back from a look for dead letters a message counts as in flight.
		last := dms.Waiting
		var states []dms.State
		for seq := range uint64(4) {
			h, err := f.b.Message(t.Context(), f.queue, seq+1)
			if err != nil {
				t.Fatal(err)
			}
			if states = append(states, h.Groups[0].State); seq == 3 && mode == dms.Normal && h.Groups[0].State == dms.Leased {
				last = dms.Leased
			}
			if d := h.Groups[0].Dead; d != nil && (d.Reason != "no such customer" || d.Deliveries != 1 || d.Sequence != 2) {
				t.Errorf("the dead letter is %+v", d)
			}
		}
		if d := cmp.Diff([]dms.State{dms.Settled, dms.Buried, dms.Leased, last}, states); d != "" {
			t.Errorf("states (-want +got):\n%s", d)
		}
		for source, want := range map[dms.Source][]string{dms.InBacklog: {"held", "waiting"}, dms.InDead: {"dead"}} {
			got := peekAll(t, f.b, f.queue, dms.Peek{Source: source, Group: f.group.Group, Limit: 5})
			if d := cmp.Diff(want, peekedBodies(got)); d != "" {
				t.Errorf("%s (-want +got):\n%s", source, d)
			}
		}
		if _, err := f.b.Message(t.Context(), f.queue, 5); !has(err, dms.MessageNotFound) {
			t.Errorf("a message that was never sent: %v", err)
		}
	})
}

func TestAPeekShowsDelayedMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dms.NewQueue{})
	look := dms.Peek{Source: dms.InDelay, Limit: 5}
	if got := peekAll(t, f.b, f.queue, look); len(got) != 0 {
		t.Errorf("without any: %v", got)
	}
	due := time.Now().Add(time.Hour)
	_, err := f.b.Send(t.Context(), f.queue, dms.Send{Messages: []dms.Message{{Payload: payload("later"), Delay: time.Hour, Labels: []string{"x"}}}})
	if err != nil {
		t.Fatal(err)
	}
	got := peekAll(t, f.b, f.queue, look)
	if len(got) != 1 || got[0].Due.Sub(due).Abs() > time.Minute || !slices.Equal(got[0].Labels, []string{"x"}) {
		t.Errorf("got %+v", got)
	}
	if n, err := f.b.Purge(t.Context(), f.queue, dms.Purge{Source: dms.InDelay}); err != nil || n != 1 {
		t.Errorf("purge: %d, %v", n, err)
	}
	if got := peekAll(t, f.b, f.queue, look); len(got) != 0 {
		t.Errorf("after the purge: %v", got)
	}
}

func TestACursorIsForItsRequestOnly(t *testing.T) {
	p := dms.Peek{Source: dms.InQueue, Limit: 10, Search: dms.Search{Text: "x"}}
	p.Cursor = peekCursor(p, 42)
	if got, err := parsePeekCursor(p); err != nil || got != 42 {
		t.Fatalf("%d, %v", got, err)
	}
	p.Limit = 20
	if _, err := parsePeekCursor(p); err != nil {
		t.Errorf("another size of the page: %v", err)
	}
	other := p
	other.Newest = true
	for _, p := range []dms.Peek{other, {Cursor: "", Source: dms.InQueue}, {Cursor: p.Cursor + "A"}, {Cursor: "AAAA"}, {Cursor: p.Cursor}} {
		if _, err := parsePeekCursor(p); !has(err, dms.BadParameters) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func FuzzPeekCursor(f *testing.F) {
	p := dms.Peek{Source: dms.InQueue}
	f.Add(peekCursor(p, 7))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		p.Cursor = cursor
		place, err := parsePeekCursor(p)
		if err == nil && peekCursor(p, place) != cursor {
			t.Errorf("%q is the place %d, whose cursor is %q", cursor, place, peekCursor(p, place))
		}
	})
}
