package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dms/tenancy"
	"dms/tenancy/accounts"

	"github.com/nats-io/nats.go/jetstream"
)

// notYet is what a start meets while other nodes start, too.
func notYet() map[string]error {
	return map[string]error{
		"nobody leads":         fmt.Errorf("open registry: read changes: %w", &jetstream.APIError{ErrorCode: 10008}),
		"no answer":            fmt.Errorf("open: %w", context.DeadlineExceeded),
		"too few nodes answer": accounts.ErrUnavailable,
		"a project may be":     tenancy.ErrUnavailable,
	}
}

func TestAStartHoldsWhileTooFewAnswer(t *testing.T) {
	for name, err := range notYet() {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			got, failed := hold(t.Context(), slog.New(slog.DiscardHandler), "open", func(context.Context) (int, error) {
				if calls++; calls < 100 {
					return 0, err
				}
				return calls, nil
			})
			if got != 100 || failed != nil {
				t.Errorf("%s: %d, %v", name, got, failed)
			}
		})
	}
}

func TestAStartEndsWithAPlainSentenceAtItsDeadline(t *testing.T) {
	for name, err := range notYet() {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, failed := hold(t.Context(), slog.New(slog.DiscardHandler), "open the list of projects", func(context.Context) (int, error) { return 0, err })
			if took := time.Since(began); took != openWithin {
				t.Errorf("%s: it gave up after %v, want %v", name, took, openWithin)
			}
			if !errors.Is(failed, err) || !strings.HasPrefix(failed.Error(), "open the list of projects: the cluster could not be used for 5m0s: ") {
				t.Errorf("%s: it ends with %v", name, failed)
			}
		})
	}
}

func TestAStartEndsAtOnceForWhatDoesNotPass(t *testing.T) {
	refused := errors.New("the bucket is not replicated")
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, err := hold(t.Context(), slog.New(slog.DiscardHandler), "open", func(context.Context) (int, error) { calls++; return 0, refused })
		if err != refused || calls != 1 { //nolint:errorlint // it comes as it is
			t.Errorf("after %d calls: %v", calls, err)
		}
	})
}
