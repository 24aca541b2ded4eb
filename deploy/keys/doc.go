// Package keys makes and reads the key material of one cluster: the operator that
// signs accounts, the master secret that accounts are derived from, the keys that seal
// handles and tokens, and the certificate that nodes show each other. It leaves what
// the keys are used for to its callers, and never prints any of them.
package keys
