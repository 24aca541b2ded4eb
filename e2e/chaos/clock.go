package chaos

import (
	"context"
	"fmt"
	"strings"
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
	if err := f.judged(ctx, n, by); err != nil {
		return err
	}
	f.hold(ctx, skewLeast, skewMost)
	if err := n.stop(ctx); err != nil {
		f.complain("stop of %s: %.600v", n.name, err)
	}
	return f.back(ctx, n)
}

// leastWrong is how many seconds off a clock is that the others take for wrong.
const leastWrong = 5

// judged waits until the node serves or, if its clock is far off, says so and does not.
func (f *field) judged(ctx context.Context, n *node, by int) error {
	if -leastWrong <= by && by <= leastWrong {
		return f.whole(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return await(ctx, n.name+" to see that its clock is wrong", func() error {
		err := n.ready(ctx)
		if err == nil {
			return fmt.Errorf("%s serves", n.name)
		}
		if !strings.Contains(err.Error(), "the clock of this node") {
			return err
		}
		return nil
	})
}
