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
	rounds := flag.Int("rounds", 3, "how often each pair is measured; the medians are compared")
	length := flag.Duration("t", 4*time.Second, "how long one measurement takes")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	only := flag.String("only", "", "measure only the pair with this name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := profiled(*profile, func() error { return run(ctx, *rounds, *length, *only) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
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

// pair is one thing done on the bare log and over REST. Each function runs until the
// context ends and returns how many messages it moved.
type pair struct {
	name      string
	bar       float64 // the ratio that is promised
	raw, rest func(context.Context, *service) (int64, error)
}

func run(ctx context.Context, rounds int, length time.Duration, only string) error {
	s, err := startService(ctx)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the process ends
	fmt.Printf("%-16s %12s %12s %7s %7s\n", "", "raw msg/s", "REST msg/s", "ratio", "bar")
	for _, p := range pairs() {
		if only != "" && only != p.name {
			continue
		}
		var raw, rest []float64
		for range rounds {
			for _, side := range []struct {
				f    func(context.Context, *service) (int64, error)
				into *[]float64
			}{{p.raw, &raw}, {p.rest, &rest}} {
				rate, err := measure(ctx, s, length, side.f)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				*side.into = append(*side.into, rate)
			}
		}
		a, b := median(raw), median(rest)
		fmt.Printf("%-16s %12.0f %12.0f %7.2f %7.2f\n", p.name, a, b, b/a, p.bar)
	}
	if only == "" || only == "wake" {
		if err := wake(ctx, s); err != nil {
			return fmt.Errorf("wake: %w", err)
		}
	}
	if only == "" || only == "parked" {
		if err := parked(ctx, s); err != nil {
			return fmt.Errorf("parked: %w", err)
		}
	}
	return nil
}

func measure(ctx context.Context, s *service, length time.Duration, f func(context.Context, *service) (int64, error)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	start := time.Now()
	n, err := f(context.WithValue(ctx, startKey{}, start), s)
	if err != nil {
		return 0, err
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
