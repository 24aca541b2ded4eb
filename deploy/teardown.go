package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// teardown is what must be undone, in the order in which it was done. A step is added
// the moment its thing is acquired.
type teardown struct {
	log   *slog.Logger
	steps []step
}

type step struct {
	name string
	stop func(context.Context) error
}

func (t *teardown) add(name string, stop func(context.Context) error) {
	t.steps = append(t.steps, step{name, stop})
}

// run undoes everything once, last first. A step that fails keeps no other from
// running; the errors are joined, each with the step's name. Every step gets what is
// left of the context's time, which is for the steps to respect.
func (t *teardown) run(ctx context.Context) error {
	var errs []error
	for len(t.steps) > 0 {
		last := t.steps[len(t.steps)-1]
		t.steps = t.steps[:len(t.steps)-1]
		begin := time.Now()
		err := last.stop(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
		t.log.Debug("stopped", "part", last.name, "took", time.Since(begin), "clean", err == nil)
	}
	return errors.Join(errs...)
}
