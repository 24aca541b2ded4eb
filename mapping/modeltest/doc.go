// Package modeltest compares the real Broker, on a cluster of three members, with a
// reference of the service that fits in one file. It holds tests only: everything
// else, down to the storage engine, is the product's own.
package modeltest
