// Package registry keeps the list of projects: who they are and what they may use. It
// lives in a replicated bucket of the service's own account and is mirrored in memory on
// every node, so that admitting a known project costs no I/O. What a project's storage
// consists of is the business of the two functions it is opened with.
//
// A record is the only thing that nodes agree on, and is changed by compare-and-set
// only. Storage is made and removed outside of it, by operations that can be repeated;
// the record says which of them are still due:
//
//	no applied limits            storage is to be made
//	applied limits not as wanted storage is to be changed; the old limits hold until then
//	deleting                     storage is to be removed, and then the record
//
// Reads are answered by the leader of the bucket's stream: followers may lag behind.
package registry
