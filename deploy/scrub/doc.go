// Package scrub finds a replica of a stream that is not what the other two are, keeps it
// from leading, and has it rebuilt from them. Every node judges its own replicas only, by
// what the others tell of theirs. The package reads the files of a store but never writes
// them; how a replica is rebuilt, and how nodes talk, is left to its caller.
package scrub
