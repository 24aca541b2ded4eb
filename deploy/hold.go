package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dms/deploy/engine"
	"dms/tenancy"
	"dms/tenancy/accounts"
	kept "dms/tenancy/records"
)

const (
	// openWithin is how long a start tries to open what the service itself keeps, once the
	// node has joined the cluster. Other nodes may be starting too, and lead nothing yet.
	openWithin = 5 * time.Minute
	holdEvery  = 500 * time.Millisecond
)

var errNotOpened = fmt.Errorf("the cluster could not be used for %v", openWithin)

// hold does a step of the start again until it succeeds, fails for a cause that does not
// pass, or has taken too long.
func hold[T any](ctx context.Context, log *slog.Logger, what string, step func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openWithin, errNotOpened)
	defer cancel()
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for told := false; ; {
		out, err := step(ctx)
		if err == nil || !passing(err) {
			return out, err
		}
		if ctx.Err() != nil {
			return out, fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
		if !told { // not at every attempt
			log.LogAttrs(ctx, slog.LevelWarn, "the start waits until this can be done", slog.String("step", what), slog.Any("err", err))
		}
		told = true
		select {
		case <-ctx.Done():
			return out, fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// passing reports whether an error says that too few members answer at present, or that
// the one of this node is being started again.
func passing(err error) bool {
	return errors.Is(err, engine.ErrStopped) || kept.Passing(err) || errors.Is(err, tenancy.ErrUnavailable) || errors.Is(err, accounts.ErrUnavailable)
}
