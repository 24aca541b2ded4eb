package filter

import (
	"context"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"
)

func order() Message {
	return Message{
		Sequence: 7, ID: "m-7", Sent: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Labels: []string{"eu", "vip"},
		Payload: []byte(`{"body":{"order": 17, "total": 9.5, "note":"Très URGENT", "items":["a","b"]},"attributes":{"kind":"invoice","n":3,"big":1e400,"flag":true},"tags":["eu","vip"]}`),
		Reason:  "no such customer",
	}
}

func TestASearchWantsWhatItSays(t *testing.T) {
	for _, c := range []struct {
		search dms.Search
		want   bool
	}{
		{dms.Search{}, true},
		{dms.Search{Labels: []string{"eu"}}, true},
		{dms.Search{Labels: []string{"eu", "us"}}, false},
		{dms.Search{Attributes: []dms.Attribute{{Name: "kind", Value: "invoice"}}}, true},
		{dms.Search{Attributes: []dms.Attribute{{Name: "kind", Value: "Invoice"}}}, false},
		{dms.Search{Attributes: []dms.Attribute{{Name: "n", Value: "3"}, {Name: "flag", Value: "true"}}}, true},
		{dms.Search{Attributes: []dms.Attribute{{Name: "missing", Value: ""}}}, false},
		{dms.Search{Text: "très urgent"}, true},
		{dms.Search{Text: "invoice"}, false}, // that is an attribute
		{dms.Search{Filter: `body.order == 17 && body.total > 9.0`}, true},
		{dms.Search{Filter: `body.order == 18`}, false},
		{dms.Search{Filter: `"vip" in labels && sequence == 7 && id == "m-7" && size > 10`}, true},
		{dms.Search{Filter: `sent > timestamp("2026-01-02T00:00:00Z")`}, true},
		{dms.Search{Filter: `attributes.kind.startsWith("inv") && reason.contains("customer")`}, true},
		{dms.Search{Filter: `body.items.exists(i, i == "b")`}, true},
		{dms.Search{Filter: `body.missing.deeper == 1`}, false},
		{dms.Search{Filter: `attributes.big == "1e400"`}, true},
		{dms.Search{Labels: []string{"eu"}, Text: "URGENT", Filter: `false`}, false},
	} {
		f, err := Compile(c.search)
		if err != nil {
			t.Errorf("%+v: %v", c.search, err)
			continue
		}
		got, err := f.Matches(t.Context(), order())
		if err != nil || got != c.want {
			t.Errorf("%+v: %t, %v, want %t", c.search, got, err, c.want)
		}
	}
}

func TestAFilterThatMakesNoSenseIsRefused(t *testing.T) {
	for _, text := range []string{`body.`, `nothing == 1`, `"a" + 1`, `size`, `1 == `, strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), strings.Repeat("x", 1025)} {
		_, err := Compile(dms.Search{Filter: text})
		own, ok := err.(*dms.Error)
		if !ok || own.Code != dms.BadParameters || !strings.Contains(own.Message, "filter") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestAFilterThatCostsTooMuchIsRefused(t *testing.T) {
	f, err := Compile(dms.Search{Filter: `body.all(a, body.all(b, body.all(c, a + b + c >= 0)))`})
	if err != nil {
		t.Fatal(err)
	}
	m := order()
	m.Payload = []byte(`{"body":[` + strings.Repeat("1,", 300) + `1]}`)
	if _, err := f.Matches(t.Context(), m); err == nil || !strings.Contains(err.Error(), "too much work") {
		t.Errorf("got %v", err)
	}
}

func TestAFilterEndsWithItsContext(t *testing.T) {
	f, err := Compile(dms.Search{Filter: `body.all(a, body.all(b, a + b >= 0))`})
	if err != nil {
		t.Fatal(err)
	}
	m := order()
	m.Payload = []byte(`{"body":[` + strings.Repeat("1,", 300) + `1]}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Matches(ctx, m); err == nil {
		t.Error("a search went on after its end")
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"true", "body.a == 1", `labels.exists(l, l.matches("^a+$"))`, "((", "'\\u0000'"} {
		f.Add(seed, []byte(`{"body":{"a":1},"attributes":{"b":[1,2]}}`))
	}
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		c, err := Compile(dms.Search{Filter: text})
		if err != nil {
			return
		}
		m := order()
		m.Payload = payload
		if _, err := c.Matches(t.Context(), m); err != nil && !strings.Contains(err.Error(), "too much work") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
