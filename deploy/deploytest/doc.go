// Package deploytest runs three full nodes in one process for tests: each has its own
// storage member, API and admin listener, and all share one set of keys. It decides no
// behaviour of its own; what it starts is what "dms serve" starts.
package deploytest
