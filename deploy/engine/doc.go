// Package engine runs one member of the embedded storage cluster, or all three of them
// in one process. It knows the cluster's options, start-up checks and shut-down; what
// is kept in the cluster, and for whom, is left to the packages above it.
package engine
