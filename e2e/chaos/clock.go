package chaos

import (
	"context"
	"fmt"
	"time"
)

const skewLeast, skewMost = 10 * time.Second, 20 * time.Second

// skews are seconds: what an administrator or a bad battery does to a clock, but less than
// the life of the clients' tokens.
func skews() []int { return []int{-3600, -300, -1, 1, 300, 3600} }

// skewClock runs the leader of a queue with a wrong clock for a while.
func skewClock(ctx context.Context, f *field) error {
	n := f.leader()
	by := skews()[f.rng.IntN(len(skews()))]
	f.note("%s is %+d s off", n.name, by)
	if err := n.stop(ctx); err != nil {
		f.complain("stop of %s: %.600v", n.name, err)
	}
	if err := n.startAs(skewed, fmt.Sprintf("%s=%d", skewVariable, by)); err != nil {
		return err
	}
	if err := f.whole(ctx); err != nil {
		return err
	}
	f.hold(ctx, skewLeast, skewMost)
	if err := n.stop(ctx); err != nil {
		f.complain("stop of %s: %.600v", n.name, err)
	}
	return f.back(ctx, n)
}
