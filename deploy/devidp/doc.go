// Package devidp is an identity provider for development: it lets a newcomer sign in to
// the console and call the API without setting up anything else. It speaks OpenID
// Connect through zitadel's op package and keeps its users in memory, with passwords
// that are written in plain text in the development configuration.
//
// It must never be used in production. Its passwords are known, it does not slow down
// guessing, and its signing key is never rotated. New therefore asks for a mark that no
// configuration file can set.
package devidp
