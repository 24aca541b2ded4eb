// Package records keeps small records that all nodes share: replicated, changed by
// compare-and-set, read from the leader, and followed by the changes since a revision.
package records
