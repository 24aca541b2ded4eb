package main

import (
	"testing"
	"time"
)

// TestEveryRowCanBeMeasured runs all of the bench in its shortest form. It says
// nothing about speed.
func TestEveryRowCanBeMeasured(t *testing.T) {
	o := options{
		rounds: 1, length: 500 * time.Millisecond, backlog: 200, wakes: 5, polls: 20, groups: 10, parked: time.Second,
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.encrypted, o.only = true, "send 10"
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
