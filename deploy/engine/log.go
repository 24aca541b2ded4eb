package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"syscall"
)

// bridge hands the embedded server's log lines to slog. The server reports what it
// cannot survive as a fatal line and carries on as a wreck, so fatal lines go to fatal.
type bridge struct {
	log   *slog.Logger
	fatal func(error)
	stall func() // when a replica waits in vain for a leader; nil is nobody
	// unreadable hears of a stream in which a consumer cannot read a message; nil is nobody.
	unreadable func(stream string)
	ending     *ending // nil is nobody
}

// waitsInVain is in what the server says every 5 s of a stalled replica.
const waitsInVain = "catchup aborted, no leader"

// cannotRead is what the server says when a consumer comes to a message that is damaged,
// and every AckWait after that: it goes on without it, for as long as the same member leads.
// Source: nats-server v2.15.2, server/consumer.go, loopAndGatherMsgs; server/filestore.go, errBadMsg.
var cannotRead = regexp.MustCompile(`^Received an error looking up message .*for consumer '\S+ > (\S+) > \S+': malformed or corrupt message`)

func (b bridge) Noticef(format string, v ...any) {
	b.write(slog.LevelInfo, format, v)
	if b.ending != nil {
		b.ending.said(fmt.Sprintf(format, v...))
	}
}

func (b bridge) Warnf(format string, v ...any) { b.write(slog.LevelWarn, format, v) }
func (b bridge) Errorf(format string, v ...any) {
	b.write(slog.LevelError, format, v)
	text := fmt.Sprintf(format, v...)
	if b.stall != nil && strings.Contains(text, waitsInVain) {
		b.stall()
	}
	if b.unreadable != nil {
		if m := cannotRead.FindStringSubmatch(text); m != nil {
			b.unreadable(m[1])
		}
	}
	if b.ending != nil {
		b.ending.said(text)
	}
}

func (b bridge) Debugf(format string, v ...any) { b.write(slog.LevelDebug, format, v) }

// Tracef drops what it gets: traces show payloads.
func (b bridge) Tracef(string, ...any) {}

func (b bridge) Fatalf(format string, v ...any) {
	b.write(slog.LevelError, format, v)
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	reason := ErrFailed
	for _, arg := range v {
		if err, ok := arg.(error); ok && errors.Is(err, syscall.EADDRINUSE) {
			reason = ErrPortTaken
		}
	}
	b.fatal(refuse(reason, "%s", text))
}

func (b bridge) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if !b.log.Enabled(ctx, level) {
		return
	}
	b.log.LogAttrs(ctx, level, "engine", slog.String("text", strings.TrimSpace(fmt.Sprintf(format, v...))))
}
