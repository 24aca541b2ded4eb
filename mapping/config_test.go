package mapping

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var epoch = time.UnixMilli(1767225600000)

func pinned() map[string]any {
	text := "all orders"
	return map[string]any{
		"queue NORMAL": queueStream(queueA, dms.NewQueue{Name: "orders", Mode: dms.Normal}, epoch),
		"queue FIFO with description and dead letters": queueStream(queueA,
			dms.NewQueue{Name: "orders", Mode: dms.FIFO, Description: &text, MaxConsumeCount: 3}, epoch),
		"ctl":                    ctlConfig(),
		"dead":                   deadConfig(),
		"delay":                  delayConfig(),
		"group":                  groupConsumer(reading{GroupRef: refOf(queueA, groupA)}, 0, nil, dms.AnyLabel),
		"group any of two":       groupConsumer(reading{GroupRef: refOf(queueA, groupA)}, 0, []string{"a", "b"}, dms.AnyLabel),
		"group all of two":       groupConsumer(reading{GroupRef: refOf(queueA, groupA)}, 0, []string{"a", "b"}, dms.AllLabels),
		"group all of three":     groupConsumer(reading{GroupRef: refOf(queueA, groupA)}, 0, []string{"a", "b", "c"}, dms.AllLabels),
		"mover of delayed ones":  moverConsumer(),
		"queue FIFO, no options": queueStream(queueB, dms.NewQueue{Name: "Orders", Mode: dms.FIFO}, epoch),
	}
}

// What is on disk was made with these configurations: a difference needs a way to
// bring existing streams and consumers there.
func TestConfigurationsAreThoseOnDisk(t *testing.T) {
	path := filepath.Join("testdata", "streams.golden")
	configs := pinned()
	if *update {
		b, err := json.MarshalIndent(configs, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]any
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(golden)), slices.Sorted(maps.Keys(configs))); d != "" {
		t.Errorf("configurations in %s (-want +got):\n%s", path, d)
	}
	for name, c := range configs {
		var got any
		if err := json.Unmarshal(mustJSON(c), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(golden[name], got); d != "" {
			t.Errorf("%s has drifted; run with -update if it is meant (-want +got):\n%s", name, d)
		}
	}
}

func TestAQueueIsReadBackFromItsStream(t *testing.T) {
	empty, text := "", "größer & mehr"
	for name, q := range map[string]dms.NewQueue{
		"plain":             {Name: "orders", Mode: dms.Normal},
		"empty description": {Name: "orders", Mode: dms.Normal, Description: &empty},
		"all":               {Name: "Or-de_rs", Mode: dms.FIFO, Description: &text, MaxConsumeCount: 100},
	} {
		ref := dms.QueueRef{Project: "0123456789abcdef0123456789abcdef", Queue: queueA}
		stored := queueStream(queueA, q, epoch)
		// The server adds keys of its own and returns the configuration as JSON.
		stored.Metadata["_nats.level"] = "1"
		var back jetstream.StreamConfig
		if err := json.Unmarshal(mustJSON(stored), &back); err != nil {
			t.Fatal(err)
		}
		got, err := parseQueueStream(ref, back)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(dms.Queue{NewQueue: q, Ref: ref, Created: epoch, Retention: dms.Retention}, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestAStreamWithoutAQueuesAttributesIsRefused(t *testing.T) {
	for name, change := range map[string]func(map[string]string){
		"no creation time":          func(m map[string]string) { delete(m, metaCreated) },
		"creation time of words":    func(m map[string]string) { m[metaCreated] = "today" },
		"consume count of words":    func(m map[string]string) { m[metaMaxConsume] = "many" },
		"consume count left empty":  func(m map[string]string) { m[metaMaxConsume] = "" },
		"nothing there at all":      func(m map[string]string) { clear(m) },
		"creation time out of line": func(m map[string]string) { m[metaCreated] = "99999999999999999999" },
	} {
		c := queueStream(queueA, dms.NewQueue{Name: "orders", Mode: dms.Normal}, epoch)
		change(c.Metadata)
		if got, err := parseQueueStream(dms.QueueRef{Queue: queueA}, c); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}
