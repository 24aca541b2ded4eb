package deploy

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTeardownRunsEveryStepOnceAndBackwards(t *testing.T) {
	var ran []string
	td := teardown{log: slog.New(slog.DiscardHandler)}
	broken := errors.New("stuck")
	for _, name := range []string{"first", "second", "third"} {
		td.add(name, func(context.Context) error {
			ran = append(ran, name)
			if name == "second" {
				return broken
			}
			return nil
		})
	}
	err := td.run(t.Context())
	if diff := cmp.Diff([]string{"third", "second", "first"}, ran); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if !errors.Is(err, broken) || err.Error() != "stop second: stuck" {
		t.Errorf("error is %v, want the failed step by name", err)
	}
	if err := td.run(t.Context()); err != nil || len(ran) != 3 {
		t.Errorf("a second run answered %v after %q", err, ran)
	}
}
