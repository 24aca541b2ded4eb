// Package watch looks after the queues of all projects: one node at a time samples them,
// evaluates the alarms and sees to it that somebody is told. Which node it is, is decided
// by a lease; what it must not forget lies in records that every node can read.
package watch
