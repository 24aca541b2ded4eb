// Package workload is the clients of a test: producers, consumers that behave well and
// badly, and probers of what belongs to others. Each call is recorded as it was seen, and
// the history is judged by package history. The package knows nodes by their URLs only;
// what breaks meanwhile is the business of those who use it.
package workload
