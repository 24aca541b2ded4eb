// Package faults drives three nodes over REST while leaders change and nodes die, records
// what every client saw, and has the history judged. It knows nothing of how the service
// works inside; what a correct service may answer is decided by package history.
//
// A run of ten minutes, whose history and node logs are kept:
//
//	go test -race -run HistoryUnderFaults -timeout 30m -v . -faults.for=10m -faults.keep=/tmp/run
//
// The seed that a run prints repeats its choices, though not its timing. Nodes are in one
// process here and the disk is whole: lost writes, partitions and stopped clocks are for
// tests of another kind.
package faults
