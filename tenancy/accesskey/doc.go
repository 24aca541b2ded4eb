// Package accesskey verifies requests that were signed with an access key, in the
// three forms that clients of this API send. It knows keys and signatures only: where
// keys are kept, and what their holder may do, is decided elsewhere.
//
// All forms sign the same canonical request:
//
//	METHOD
//	path, each segment percent-encoded, always ending in "/"
//	query, sorted and percent-encoded, "k=" for an empty value
//	name:value of every signed header, one per line
//	(an empty line)
//	names of the signed headers, lower case, sorted, joined by ";"
//	SHA-256 of the body in hex, or the value of X-Sdk-Content-Sha256
//
// They differ in the string that is signed and in the key that signs it; see forms.
package accesskey
