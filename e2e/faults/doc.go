// Package faults drives three nodes over REST while leaders change and nodes die, records
// what every client saw, and has the history judged. It knows nothing of how the service
// works inside; what a correct service may answer is decided by package history.
package faults
