// Package sample turns what queues look like at one moment, and what passed through them,
// into the figures that histories, alarms and dashboards show. It does no I/O: whoever
// collects calls it, and time is a parameter.
package sample
