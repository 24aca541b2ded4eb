package history

import "time"

// peaks finds, among the first n of many times, those above a bound without looking at
// the others: a tree in which every node holds the greatest time below it.
type peaks struct {
	size int // a power of two
	tree []time.Duration
}

func newPeaks(n int, at func(int) time.Duration) peaks {
	size := 1
	for size < n {
		size *= 2
	}
	p := peaks{size: size, tree: make([]time.Duration, 2*size)}
	for i := range n {
		p.tree[size+i] = at(i)
	}
	for i := size - 1; i > 0; i-- {
		p.tree[i] = max(p.tree[2*i], p.tree[2*i+1])
	}
	return p
}

// above visits the places before n whose time is above the bound, in order, until visit
// returns true. It reports whether it was stopped so.
func (p peaks) above(n int, bound time.Duration, visit func(int) bool) bool {
	var walk func(node, from, width int) bool
	walk = func(node, from, width int) bool {
		switch {
		case from >= n || p.tree[node] <= bound:
			return false
		case width == 1:
			return visit(from)
		}
		half := width / 2
		return walk(2*node, from, half) || walk(2*node+1, from+half, half)
	}
	return n > 0 && walk(1, 0, p.size)
}
