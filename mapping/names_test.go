package mapping

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

const (
	queueA = dms.QueueID("0f8b2d3c-51e6-4a70-9b1d-c2f3a4b5d6e7")
	queueB = dms.QueueID("f0000000-0000-4000-8000-00000000000f")
	groupA = dms.GroupID("g-11112222-3333-4444-8555-666677778888")
	groupB = dms.GroupID("g-99990000-aaaa-4bbb-8ccc-ddddeeeeffff")
)

func refOf(q dms.QueueID, g dms.GroupID) dms.GroupRef {
	return dms.GroupRef{QueueRef: dms.QueueRef{Project: "0123456789abcdef0123456789abcdef", Queue: q}, Group: g}
}

// subjectMatches is the log's rule: "*" is one token, a last ">" is one or more.
func subjectMatches(filter, subject string) bool {
	want, have := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, w := range want {
		switch {
		case w == ">" && i == len(want)-1:
			return len(have) > i
		case i >= len(have) || w != "*" && w != have[i]:
			return false
		}
	}
	return len(have) == len(want)
}

func matching(filters []string, subject string) (n int) {
	for _, f := range filters {
		if subjectMatches(f, subject) {
			n++
		}
	}
	return n
}

func setOf(labels []string) []string { return slices.Compact(slices.Sorted(slices.Values(labels))) }

func TestStreamNamesAreReadBackAndOthersRefused(t *testing.T) {
	for _, id := range []dms.QueueID{queueA, queueB, dms.NewQueueID()} {
		if got, ok := parseStreamName(streamName(id)); !ok || got != id {
			t.Errorf("parseStreamName(streamName(%s)) = %s, %t", id, got, ok)
		}
	}
	key := queueKey(queueA)
	for _, s := range []string{
		"", "q_", ctlStream, deadStream, delayStream, key, "Q_" + key, "q_" + strings.ToUpper(key),
		"q_" + key[1:], "q_" + key + "0", "q_" + key[:31] + "g", "q_" + string(queueA), "q_" + key[:31] + "é",
	} {
		if id, ok := parseStreamName(s); ok {
			t.Errorf("parseStreamName(%q) = %s, want it refused", s, id)
		}
	}
}

func TestIdsBecomeKeysOf32DigitsAndBack(t *testing.T) {
	if got := hyphenate(queueKey(queueA)); got != string(queueA) {
		t.Errorf("queue id came back as %s", got)
	}
	if got := "g-" + hyphenate(groupKey(groupA)); got != string(groupA) {
		t.Errorf("group id came back as %s", got)
	}
	if got, want := consumerName(groupA, 0), "g_11112222333344448555666677778888"; got != want {
		t.Errorf("consumer name is %s, want %s", got, want)
	}
}

func TestMessageSubjectsCarryLabelsAsASet(t *testing.T) {
	prefix := "q." + queueKey(queueA) + "."
	for _, c := range []struct {
		labels []string
		tail   string
	}{
		{nil, "~.~.~"},
		{[]string{"x"}, "x.~.~"},
		{[]string{"b", "a"}, "a.b.~"},
		{[]string{"b", "B", "a"}, "B.a.b"},
		{[]string{"a", "a"}, "a.~.~"},
		{[]string{"z", "_", "-"}, "-._.z"},
	} {
		subject := messageSubject(queueA, c.labels)
		if want := prefix + c.tail; subject != want {
			t.Errorf("messageSubject(%q) = %s, want %s", c.labels, subject, want)
		}
		if d := cmp.Diff(setOf(c.labels), subjectLabels(subject)); d != "" {
			t.Errorf("labels of %s (-want +got):\n%s", subject, d)
		}
		if id, ok := queueOfSubject(subject); !ok || id != queueA {
			t.Errorf("queueOfSubject(%s) = %s, %t", subject, id, ok)
		}
		if !subjectMatches(queueSubjects(queueA), subject) || subjectMatches(queueSubjects(queueB), subject) {
			t.Errorf("%s is not in its own queue's stream alone", subject)
		}
	}
}

func TestSubjectsThatAreNoMessagesAreRefused(t *testing.T) {
	key := queueKey(queueA)
	for _, s := range []string{
		"", "q", "q." + key, "q." + key + ".a.b", "q." + key + ".a.b.c.d", "n." + key + ".a.b.c",
		"q." + strings.ToUpper(key) + ".a.b.c", "q." + key[1:] + ".a.b.c", "q." + key[:31] + "x.a.b.c",
	} {
		if id, ok := queueOfSubject(s); ok {
			t.Errorf("queueOfSubject(%q) = %s, want it refused", s, id)
		}
	}
	if got := subjectLabels("q." + key + ".a.b"); got != nil {
		t.Errorf("a subject of four tokens has labels %q", got)
	}
}

func FuzzMessageSubject(f *testing.F) {
	f.Add("a", "b", "c", "c", "b", "a")
	f.Add("a", "a", "", "a", "", "")
	f.Add("~", "a.b", "*", ">", "", "")
	f.Add("A", "", "", "a", "", "")
	f.Add("a", "b", "", "a-b", "", "")
	f.Fuzz(func(t *testing.T, a1, a2, a3, b1, b2, b3 string) {
		valid := func(all ...string) []string {
			return setOf(slices.DeleteFunc(all, func(l string) bool { return dms.ValidateLabel(l) != nil }))
		}
		a, b := valid(a1, a2, a3), valid(b1, b2, b3)
		sa, sb := messageSubject(queueA, a), messageSubject(queueA, b)
		if (sa == sb) != slices.Equal(a, b) {
			t.Errorf("labels %q give %s, labels %q give %s", a, sa, b, sb)
		}
		if got := subjectLabels(sa); !slices.Equal(got, a) {
			t.Errorf("%s has labels %q, want %q", sa, got, a)
		}
		if strings.ContainsAny(sa, "*> \t\r\n") || strings.Count(sa, ".") != 4 {
			t.Errorf("labels %q give %q, which is no subject to publish to", a, sa)
		}
	})
}

func FuzzNamesOfStreamsAndSubjects(f *testing.F) {
	f.Add(streamName(queueA))
	f.Add(messageSubject(queueA, []string{"a"}))
	f.Add("q_" + string(queueA)[:32])
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := parseStreamName(s); ok && streamName(id) != s {
			t.Errorf("stream %q is taken for the one of %s", s, id)
		}
		if id, ok := queueOfSubject(s); ok && !subjectMatches(queueSubjects(id), s) {
			t.Errorf("subject %q is taken for one of %s", s, id)
		}
		subjectLabels(s) // must not fail on anything
	})
}

func TestDistinctNamesHaveDistinctSubjects(t *testing.T) {
	names := []string{"orders", "Orders", "ORDERS", "orders-", "orders_", "-orders", "o", "O", strings.Repeat("a", 64), strings.Repeat("a", 63)}
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("queue-%d", i), fmt.Sprintf("Queue-%d", i))
	}
	form := regexp.MustCompile(`^n\.[0-9a-f]{32}$`)
	owner := make(map[string]string, len(names))
	for _, n := range names {
		s := nameSubject(n)
		if before, ok := owner[s]; ok {
			t.Errorf("%s and %s share %s", before, n, s)
		}
		owner[s] = n
		if !form.MatchString(s) {
			t.Errorf("nameSubject(%s) = %s, want it to match %s", n, s, form)
		}
	}
}

func FuzzNameSubject(f *testing.F) {
	f.Add("orders", "Orders")
	f.Add("a", "a")
	f.Fuzz(func(t *testing.T, a, b string) {
		if (nameSubject(a) == nameSubject(b)) != (a == b) {
			t.Errorf("%q has %s, %q has %s", a, nameSubject(a), b, nameSubject(b))
		}
	})
}

// Six labels are enough for every way in which three of a filter and three of a
// message can be ordered among each other, so this is all there is.
func TestLabelFiltersSelectWhatMatchesLabelsSelects(t *testing.T) {
	alphabet := []string{"-", "B", "_", "a", "ab", "b"}
	tuples := [][]string{nil}
	for from := 0; len(tuples[from]) < dms.MaxLabels; from++ {
		for _, l := range alphabet {
			tuples = append(tuples, append(slices.Clone(tuples[from]), l))
		}
	}
	messages := make(map[string]bool)
	for _, labels := range tuples {
		messages[messageSubject(queueA, labels)] = true
	}
	if want := 1 + 6 + 15 + 20; len(messages) != want {
		t.Fatalf("%d distinct subjects, want %d", len(messages), want)
	}
	for _, match := range []dms.Match{dms.AnyLabel, dms.AllLabels} {
		for _, filter := range tuples {
			subjects := labelFilters(queueA, filter, match)
			if (subjects == nil) != (len(filter) == 0) {
				t.Fatalf("labels %q read the subjects %q", filter, subjects)
			}
			for subject := range messages {
				n := matching(subjects, subject)
				selected := subjects == nil || n > 0
				if want := matchesLabels(filter, match, subjectLabels(subject)); selected != want {
					t.Errorf("labels %q (match %d) read %q: %s is selected: %t, want %t", filter, match, subjects, subject, selected, want)
				}
				if match == dms.AllLabels && n > 1 {
					t.Errorf("all of %q read %q, of which %d match %s", filter, subjects, n, subject)
				}
			}
			// The log refuses a consumer with a filter that another one includes.
			for i, f := range subjects {
				if matching(subjects, f) != 1 {
					t.Errorf("labels %q (match %d): filter %s is part of another one of %q", filter, match, subjects[i], subjects)
				}
				if subjectMatches(f, messageSubject(queueB, filter)) {
					t.Errorf("filter %s selects messages of another queue", f)
				}
			}
		}
	}
}

func TestAckSubjectsAreReadBack(t *testing.T) {
	want := delivered{deliveries: 3, streamSeq: math.MaxUint64, consumerSeq: 12, sent: time.Unix(0, 0)}
	short := ackSubject(streamName(queueA), consumerName(groupA, 0), want.deliveries, want.streamSeq, want.consumerSeq)
	if n := strings.Count(short, ".") + 1; n != 9 {
		t.Errorf("%s has %d tokens, want 9", short, n)
	}
	long := "$JS.ACK.hub.Ab3dEf." + strings.TrimPrefix(short, "$JS.ACK.")
	for name, subject := range map[string]string{
		"9 tokens": short, "11 tokens": long, "no domain": strings.Replace(long, ".hub.", "._.", 1), "12 tokens": long + ".random",
	} {
		if got, ok := parseDelivered(subject); !ok || got != want {
			t.Errorf("%s: parseDelivered(%s) = %+v, %t", name, subject, got, ok)
		}
		if got, ok := consumerOf(subject); !ok || got != streamName(queueA)+"."+consumerName(groupA, 0) {
			t.Errorf("%s: consumerOf(%s) = %s, %t", name, subject, got, ok)
		}
	}
}

func TestSubjectsThatAreNoAcksAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "$JS.ACK", "$JS.ACK.", "_INBOX.a.b.c.d.e.f.g.h",
		"$JS.ACK.s.c.1.2.3.4",      // 8 tokens
		"$JS.ACK.d.h.s.c.1.2.3.4",  // 10 tokens
		"$JS.ACK.s.c.-1.2.3.4.5",   // negative
		"$JS.ACK.s.c.1.+2.3.4.5",   // signed
		"$JS.ACK.s.c.1.2.x.4.5",    // not a number
		"$JS.ACK.s.c.1..3.4.5",     // empty
		"$js.ack.s.c.1.2.3.4.5",    // another subject
		"x.$JS.ACK.s.c.1.2.3.4.5",  // not at the front
		"$JS.ACK.s.c.1.2.3x.4.5.6", // 10 tokens
		"$JS.ACK.s.c.18446744073709551616.2.3.4.5",
	} {
		if got, ok := parseDelivered(s); ok {
			t.Errorf("parseDelivered(%q) = %+v, want it refused", s, got)
		}
	}
}

func FuzzParseDelivered(f *testing.F) {
	f.Add("$JS.ACK.s.c.1.2.3.4.5")
	f.Add("$JS.ACK.hub.hash.s.c.1.2.3.4.5")
	f.Add("$JS.ACK.hub.hash.s.c.1.2.3.4.5.random")
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseDelivered(s)
		if !ok {
			return
		}
		consumer, ok := consumerOf(s)
		stream, name, _ := strings.Cut(consumer, ".")
		if !ok || !strings.Contains(s, consumer) {
			t.Fatalf("%q has the delivery %+v of consumer %q", s, d, consumer)
		}
		again := ackSubject(stream, name, d.deliveries, d.streamSeq, d.consumerSeq)
		d.sent = time.Unix(0, 0) // an acknowledgement does not repeat it
		if got, ok := parseDelivered(again); !ok || got != d {
			t.Errorf("%q is %+v, but %q is %+v", s, d, again, got)
		}
	})
}

func TestKeysOfAQueueAndOfAGroupAreFoundByTheirFilters(t *testing.T) {
	keys := func(ref dms.GroupRef) []string {
		return []string{cursorKey(ref, dms.Live), cursorKey(ref, dms.Dead), failedKey(ref, "ab12"), tallyKey(reading{GroupRef: ref}, 7), tallyKey(reading{ref, 3}, 7)}
	}
	own, sibling, foreign := refOf(queueA, groupA), refOf(queueA, groupB), refOf(queueB, groupA)
	ofQueue, ofGroup := queueCtlKeys(queueA), groupCtlKeys(own)
	for _, c := range []struct {
		key            string
		inQueue, inOwn int
	}{
		{recordKey(queueA), 1, 0},
		{recordKey(queueB), 0, 0},
	} {
		if q, g := matching(ofQueue, c.key), matching(ofGroup, c.key); q != c.inQueue || g != c.inOwn {
			t.Errorf("%s is in the queue's filters %d times and in the group's %d, want %d and %d", c.key, q, g, c.inQueue, c.inOwn)
		}
	}
	seen := make(map[string]bool)
	for _, c := range []struct {
		ref            dms.GroupRef
		inQueue, inOwn int
	}{{own, 1, 1}, {sibling, 1, 0}, {foreign, 0, 0}} {
		for _, key := range keys(c.ref) {
			if q, g := matching(ofQueue, key), matching(ofGroup, key); q != c.inQueue || g != c.inOwn {
				t.Errorf("%s is in the queue's filters %d times and in the group's %d, want %d and %d", key, q, g, c.inQueue, c.inOwn)
			}
			if seen[key] {
				t.Errorf("two records have the key %s", key)
			}
			seen[key] = true
		}
	}
}

func TestDeadAndDelayedSubjectsAreInTheirStreamsOnly(t *testing.T) {
	own := refOf(queueA, groupA)
	letter := deadSubject(reading{GroupRef: own}, 42)
	if !subjectMatches(deadFilter(own), letter) || !subjectMatches(deadQueueFilter(queueA), letter) {
		t.Errorf("%s is not found by its group and queue", letter)
	}
	for _, other := range []string{deadFilter(refOf(queueA, groupB)), deadFilter(refOf(queueB, groupA)), deadQueueFilter(queueB)} {
		if subjectMatches(other, letter) {
			t.Errorf("%s is found by %s", letter, other)
		}
	}
	streams := map[string][]string{
		"queue": queueStream(queueA, dms.NewQueue{Name: "orders"}, epoch).Subjects,
		"other": queueStream(queueB, dms.NewQueue{Name: "Orders"}, epoch).Subjects,
		"ctl":   ctlConfig().Subjects, "dead": deadConfig().Subjects, "delay": delayConfig().Subjects,
	}
	for subject, home := range map[string]string{
		letter:                                "dead",
		delaySubject(queueA, "id", epoch):     "delay",
		dueSubject(queueA, "id"):              "delay",
		ctlPrefix + recordKey(queueA):         "ctl",
		messageSubject(queueA, []string{"a"}): "queue",
		nameSubject("orders"):                 "queue",
		nameSubject("Orders"):                 "other",
	} {
		for stream, subjects := range streams {
			if got, want := matching(subjects, subject) == 1, stream == home; got != want {
				t.Errorf("%s is in stream %s: %t, want %t", subject, stream, got, want)
			}
		}
	}
}

func TestDelayedMessagesAreFoundByTheirQueueHourAndSlot(t *testing.T) {
	due := time.Date(2026, 11, 22, 23, 59, 49, 999e6, time.UTC)
	subject := delaySubject(queueA, "id", due)
	for filter, want := range map[string]bool{
		delayFilter(queueA):                   true,
		delayFilter(queueB):                   false,
		delayHour(due):                        true,
		delayHour(due.Add(-59 * time.Minute)): true,
		delayHour(due.Add(time.Minute)):       false,
		delayHour(due.Add(-time.Hour)):        false,
		delaySlot(due):                        true,
		delaySlot(due.Add(-9 * time.Second)):  true,
		delaySlot(due.Add(time.Second)):       false,
		delaySlot(due.Add(-10 * time.Second)): false,
		delaySlot(due.Add(-time.Hour)):        false,
	} {
		if got := subjectMatches(filter, subject); got != want {
			t.Errorf("%s matches %s: %t", filter, subject, got)
		}
	}
}
