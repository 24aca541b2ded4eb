package monitor

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Probes measure what a node's storage takes for the least that can be asked of it, so
// that a slow disk and a slow cluster can be told from much work.
type Probes struct {
	sync, commit metric.Float64Histogram
}

// Probes returns the instruments for the probes of a node.
func (t *Telemetry) Probes() (*Probes, error) {
	meter := t.provider.Meter("dms/monitor")
	boundaries := metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
	sync, err := meter.Float64Histogram("dms.node.sync.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to write a few bytes to the disk of the data folder and to sync them."), boundaries)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	commit, err := meter.Float64Histogram("dms.node.commit.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to store a small record on a majority of the members."), boundaries)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return &Probes{sync: sync, commit: commit}, nil
}

// Synced records how long the disk took.
func (p *Probes) Synced(ctx context.Context, took time.Duration) {
	p.sync.Record(ctx, took.Seconds())
}

// Committed records how long the cluster took.
func (p *Probes) Committed(ctx context.Context, took time.Duration) {
	p.commit.Record(ctx, took.Seconds())
}
