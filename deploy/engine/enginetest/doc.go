// Package enginetest runs a real cluster of three members for tests. It leaves what is
// stored in the cluster to the tests.
package enginetest
