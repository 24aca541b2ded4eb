package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestServerLinesKeepTheirLevel(t *testing.T) {
	for _, row := range []struct {
		write func(bridge)
		want  string
	}{
		{func(b bridge) { b.Noticef("a %d", 1) }, "level=INFO"},
		{func(b bridge) { b.Warnf("a %d", 1) }, "level=WARN"},
		{func(b bridge) { b.Errorf("a %d", 1) }, "level=ERROR"},
		{func(b bridge) { b.Debugf("a %d", 1) }, "level=DEBUG"},
		{func(b bridge) { b.Fatalf("a %d", 1) }, "level=ERROR"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		row.write(bridge{log: log, fatal: func(error) {}})
		if got := out.String(); !strings.Contains(got, row.want) || !strings.Contains(got, `text="a 1"`) {
			t.Errorf("got %s, want %s and the text", got, row.want)
		}
	}
	var out bytes.Buffer
	bridge{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}.Tracef("payload")
	if out.Len() > 0 {
		t.Errorf("a trace was written: %s", out.String())
	}
}

func TestDamagedMessagesAreToldByTheirStream(t *testing.T) {
	var got []string
	b := bridge{log: discard(), unreadable: func(stream string) { got = append(got, stream) }}
	damaged := errors.New("malformed or corrupt message in 1.blk: invalid checksum")
	b.Errorf("Received an error looking up message for consumer '%s > %s > %s': %v", "tenant", "q_1", "g_1", damaged)
	b.Errorf("Received an error looking up message with sequence %d for consumer '%s > %s > %s': %v", 7, "tenant", "q_2", "g_1", damaged)
	b.Errorf("Received an error looking up message for consumer '%s > %s > %s': %v", "tenant", "q_3", "g_1", errors.New("store is closed"))
	b.Errorf("Something else about '%s > %s > %s': %v", "tenant", "q_4", "g_1", damaged)
	if want := []string{"q_1", "q_2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFatalLinesBecomeFailures(t *testing.T) {
	for _, row := range []struct {
		arg  error
		want error
	}{
		{errors.New("snapshot corrupt"), ErrFailed},
		{fmt.Errorf("listen: %w", syscall.EADDRINUSE), ErrPortTaken},
	} {
		var got error
		bridge{log: discard(), fatal: func(err error) { got = err }}.Fatalf("it broke: %v", row.arg)
		if !errors.Is(got, row.want) || !strings.Contains(got.Error(), row.arg.Error()) {
			t.Errorf("got %v, want %v with the reason", got, row.want)
		}
	}
}
