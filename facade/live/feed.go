package live

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mostWaits is how many looks a feed waits for a first one that sees all of a topic, before
// it takes a part for the whole.
const mostWaits = 5

// mostGone bounds how many items that are gone a topic remembers. Who was away for longer
// than that is told everything.
const mostGone = 1000

// Item is one thing of a topic.
type Item struct {
	ID    string // within its topic
	Owner string // what it belongs to, for those who may see only some
	Data  []byte // JSON
}

// Seen is what there is at one moment.
type Seen struct {
	// Topics are those that could be looked at. The others stay as they are.
	Topics map[string][]Item
	// Unsure reports of an item that was there, and was not seen now, that it may be there
	// all the same. Nil means never.
	Unsure func(topic string, i Item) bool
	// Partial are the topics with something that is there and was not seen now.
	Partial map[string]bool
}

// Update is what has changed of a topic.
type Update struct {
	Topic   string
	Full    bool // Changed is all there is; otherwise what is not named is as before
	Changed []Item
	Removed []Item // Data is nil
}

// feed is what is there. It is safe for concurrent use.
type feed struct {
	run string // tells its count from those of other feeds and nodes

	mu      sync.Mutex
	count   uint64
	topics  map[string]*topic
	waits   map[string]int // looks that saw a part of a topic nothing is known of
	changed chan struct{}  // closed at the next change
}

type topic struct {
	floor uint64 // what was removed up to here is forgotten
	items map[string]*entry
	gone  int
}

type entry struct {
	Item
	count uint64 // of its last change
	gone  bool
}

func newFeed() *feed {
	return &feed{run: rand.Text()[:10], topics: make(map[string]*topic), waits: make(map[string]int), changed: make(chan struct{})}
}

// see takes what is there now.
func (f *feed) see(s Seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.count + 1
	changed := false
	for name, items := range s.Topics {
		t := f.topics[name]
		if t == nil && s.Partial[name] && f.waits[name] < mostWaits {
			f.waits[name]++
			continue
		}
		if t == nil {
			// The first look is a change even if there is nothing: now that is known.
			t = &topic{items: make(map[string]*entry), floor: next}
			f.topics[name] = t
			changed = true
		}
		there := make(map[string]bool, len(items))
		for _, i := range items {
			there[i.ID] = true
			e := t.items[i.ID]
			if e != nil && !e.gone && e.Owner == i.Owner && bytes.Equal(e.Data, i.Data) {
				continue
			}
			if e != nil && e.gone {
				t.gone--
			}
			t.items[i.ID] = &entry{Item: i, count: next}
			changed = true
		}
		for id, e := range t.items {
			if e.gone || there[id] || s.Unsure != nil && s.Unsure(name, e.Item) {
				continue
			}
			e.gone, e.count, e.Data = true, next, nil
			t.gone++
			changed = true
		}
		t.forget()
	}
	if changed {
		f.count = next
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// forget drops what is gone for longest when there is too much of it.
func (t *topic) forget() {
	if t.gone <= mostGone {
		return
	}
	var gone []*entry
	for _, e := range t.items {
		if e.gone {
			gone = append(gone, e)
		}
	}
	slices.SortFunc(gone, func(a, b *entry) int { return cmp.Compare(a.count, b.count) })
	for _, e := range gone[:len(gone)-mostGone/2] {
		t.floor = max(t.floor, e.count)
		delete(t.items, e.ID)
		t.gone--
	}
}

// since returns what has changed after the count, and a channel that is closed when
// there is more. Items come in the order of their ids.
func (f *feed) since(after uint64) (now uint64, updates []Update, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.topics))
	for name := range f.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := f.topics[name]
		u := Update{Topic: name, Full: after < t.floor}
		for _, e := range t.items {
			switch {
			case e.gone && !u.Full && e.count > after:
				u.Removed = append(u.Removed, e.Item)
			case !e.gone && (u.Full || e.count > after):
				u.Changed = append(u.Changed, e.Item)
			}
		}
		if !u.Full && len(u.Changed)+len(u.Removed) == 0 {
			continue
		}
		byID := func(a, b Item) int { return cmp.Compare(a.ID, b.ID) }
		slices.SortFunc(u.Changed, byID)
		slices.SortFunc(u.Removed, byID)
		updates = append(updates, u)
	}
	return f.count, updates, f.changed
}

// mark is a count as clients remember it.
func (f *feed) mark(count uint64) string { return fmt.Sprintf("%s.%d", f.run, count) }

// parse is the inverse of mark; 0 for the mark of another feed, or none.
func (f *feed) parse(mark string) uint64 {
	text, ok := strings.CutPrefix(mark, f.run+".")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.count {
		return 0
	}
	return n
}
