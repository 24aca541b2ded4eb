package deploy

import (
	"fmt"
	"io"
	"log/slog"

	"dms/monitor"
)

// NewLogger returns the logger that the options describe. The options must be valid.
func NewLogger(o LogOptions, w io.Writer) (*slog.Logger, error) {
	level, err := o.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if o.Format == "json" {
		return slog.New(monitor.TraceLog(slog.NewJSONHandler(w, options))), nil
	}
	return slog.New(monitor.TraceLog(slog.NewTextHandler(w, options))), nil
}

func (o LogOptions) level() (slog.Level, error) {
	switch o.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log.level: %q, want debug, info, warn or error", o.Level)
}
