package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"time"
)

func main() {
	o := options{backlog: 40_000, wakes: 200, polls: 1000, groups: 100, parked: 30 * time.Second}
	flag.IntVar(&o.rounds, "rounds", 3, "how often each pair is measured; the medians are compared")
	flag.DurationVar(&o.length, "t", 4*time.Second, "how long one measurement takes")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.StringVar(&o.only, "only", "", "measure only the row with this name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := profiled(*profile, func() error { return run(ctx, o) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are how much is measured.
type options struct {
	rounds  int
	length  time.Duration
	only    string
	backlog int // messages that a consuming run finds
	wakes   int
	polls   int
	groups  int // a multiple of ten
	parked  time.Duration
}

func profiled(path string, f func() error) error {
	if path == "" {
		return f()
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // the profile is written by then
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// pair is one thing done on the bare log and over REST. Each function returns the
// messages it moved in a second.
type pair struct {
	name      string
	bar       float64 // the ratio that is promised; 0: shown for comparison
	raw, rest func(context.Context, *service) (float64, error)
}

func run(ctx context.Context, o options) error {
	s, err := startService(ctx)
	if err != nil {
		return err
	}
	s.options = o
	defer s.stop() //nolint:errcheck // the process ends
	fmt.Printf("%-16s %12s %12s %7s %7s\n", "", "raw msg/s", "REST msg/s", "ratio", "bar")
	for _, p := range pairs() {
		if o.only != "" && o.only != p.name {
			continue
		}
		var raw, rest []float64
		for range o.rounds {
			for _, side := range []struct {
				f    func(context.Context, *service) (float64, error)
				into *[]float64
			}{{p.raw, &raw}, {p.rest, &rest}} {
				rate, err := side.f(ctx, s)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				*side.into = append(*side.into, rate)
			}
		}
		a, b := median(raw), median(rest)
		bar := "-"
		if p.bar > 0 {
			bar = fmt.Sprintf("%.2f", p.bar)
		}
		fmt.Printf("%-16s %12.0f %12.0f %7.2f %7s\n", p.name, a, b, b/a, bar)
	}
	if o.only == "" || o.only == "wake" {
		if err := wake(ctx, s); err != nil {
			return fmt.Errorf("wake: %w", err)
		}
	}
	if o.only == "" || o.only == "parked" {
		if err := parked(ctx, s); err != nil {
			return fmt.Errorf("parked: %w", err)
		}
	}
	return nil
}

// timed runs f for the length of a measurement and returns how many messages it moved
// in a second.
func timed(ctx context.Context, s *service, f func(context.Context) (int64, error)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.length)
	defer cancel()
	start := time.Now()
	n, err := f(ctx)
	if onlyDone(err) {
		err = nil // what there was has been moved before the time was up
	}
	return float64(n) / time.Since(start).Seconds(), err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
