// Package alarm decides when a figure of a queue is bad enough to tell somebody. It knows
// rules and the states they are in, and does no I/O: who evaluates, stores and notifies
// is decided elsewhere.
package alarm
