// Package keystore keeps the access keys that are made over the API, and the tokens that
// were revoked before their end. Both live in a replicated bucket of the service's own
// account and are mirrored in memory on every node, so that judging a credential costs no
// I/O. Verifying a signature or a token is the business of accesskey and token.
//
// A record is changed by compare-and-set only and read from the bucket's leader. Every
// node asks the leader for changes once a second, so that a revoked credential is refused
// everywhere within that time and what the question takes. A node that is shown a key or a
// secret that it does not know asks at once, so that a new one works everywhere at once.
//
//	k.<key id>      an access key; its secrets are sealed with the cluster's keys
//	r.<token id>    a revoked token; the record ends after the longest life of a token
//	u.<key id>      when a key was last used, coarse
//
// A deleted key leaves a mark that ends, too. A node that could not ask for longer than
// such marks are sure to live reads everything anew.
package keystore
