// Package control keeps what the service itself must remember on all its nodes: records
// that are changed by compare-and-set, and logs that forget what is old. It also lets one
// node hear from all of them. It works in the service's own account and knows nothing of
// what the records mean.
package control
