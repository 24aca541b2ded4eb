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
	flag.BoolVar(&o.encrypted, "encrypted", false, "compare REST with itself on encrypted disks instead")
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

	encrypted bool
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
	s, err := startService(ctx, false)
	if err != nil {
		return err
	}
	s.options = o
	defer s.stop() //nolint:errcheck // the process ends
	if o.encrypted {
		return runEncrypted(ctx, s)
	}
	fmt.Printf("%-16s %12s %12s %7s %7s\n", "", "raw msg/s", "REST msg/s", "ratio", "bar")
	for _, p := range o.chosen() {
		raw, rest, err := o.compare(ctx, side{p.raw, s}, side{p.rest, s})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		bar := "-"
		if p.bar > 0 {
			bar = fmt.Sprintf("%.2f", p.bar)
		}
		fmt.Printf("%-16s %12.0f %12.0f %7.2f %7s\n", p.name, raw, rest, rest/raw, bar)
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

// runEncrypted measures all over REST, on plain and on encrypted disks in turn.
func runEncrypted(ctx context.Context, plain *service) error {
	o := plain.options
	encrypted, err := startService(ctx, true)
	if err != nil {
		return err
	}
	encrypted.options = o
	defer encrypted.stop() //nolint:errcheck // the process ends
	fmt.Printf("%-16s %12s %12s %7s\n", "REST", "plain msg/s", "enc. msg/s", "ratio")
	for _, p := range o.chosen() {
		a, b, err := o.compare(ctx, side{p.rest, plain}, side{p.rest, encrypted})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("%-16s %12.0f %12.0f %7.2f\n", p.name, a, b, b/a)
	}
	return nil
}

// chosen are the pairs that were asked for.
func (o options) chosen() []pair {
	return slices.DeleteFunc(pairs(), func(p pair) bool { return o.only != "" && o.only != p.name })
}

// side is one of two things to compare.
type side struct {
	move func(context.Context, *service) (float64, error)
	on   *service
}

// compare measures two things in turn and returns the medians.
func (o options) compare(ctx context.Context, a, b side) (float64, float64, error) {
	var of [2][]float64
	for range o.rounds {
		for i, s := range [...]side{a, b} {
			rate, err := s.move(ctx, s.on)
			if err != nil {
				return 0, 0, err
			}
			of[i] = append(of[i], rate)
		}
	}
	return median(of[0]), median(of[1]), nil
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
