// Package token seals the service's own bearer tokens: what a client gets in exchange
// for an identity provider's token, or for an access key. A sealed token names one
// caller in one project and carries all that a node needs to know, so that every node
// that holds the key can open it without asking anyone. It says nothing of how the
// caller was verified before. Whether it was revoked since, or the access key behind it
// was, is the business of keystore.
//
// A token is for one project, or for none: then it lists the projects that it can be
// exchanged for, and opens nothing by itself.
//
// Form: "dmst1." and base64url without padding of
//
//	key id (1 byte) | nonce (24) | XChaCha20-Poly1305 of the claims as JSON
//
// with the prefix and the key id as associated data.
package token
