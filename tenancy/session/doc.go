// Package session keeps who has signed in to the console in a replicated bucket of the
// service's own account, so that every node serves every session. How people sign in, and
// what a session permits, is left to others.
//
// The browser holds a random secret of 256 bits; the bucket holds its SHA-256 and, sealed
// with the cluster's keys and bound to that, the tokens. Neither the bucket nor a backup
// of it lets anybody in. Records end by themselves.
//
//	s.<SHA-256 of the secret>   a session
//	o.<SHA-256 of a name>       something that may be used once and was
package session
