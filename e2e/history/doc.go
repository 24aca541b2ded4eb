// Package history records what clients of the service saw and judges afterwards whether
// a correct service could have answered so. It leaves to others the load, the faults and
// everything that must be read on the servers themselves; DESIGN.md holds the definitions.
package history
