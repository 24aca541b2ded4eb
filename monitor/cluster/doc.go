// Package cluster says in words what the nodes of the service report of themselves: how
// many members store, and how many of them may be lost before nothing is stored any more.
// It does no I/O.
package cluster
