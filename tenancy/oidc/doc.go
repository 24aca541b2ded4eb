// Package oidc verifies tokens of OpenID Connect identity providers and reads from them
// which projects their holder belongs to. Discovery and the check of the signature's
// frame are go-oidc's; what it leaves open is decided here: algorithms, token types,
// audiences, lifetimes, how often keys are fetched, and the shape of the claims.
//
// A provider need not be reachable when the service starts. It is asked at the first
// token, in the background of later ones, and never more often than keySet allows.
package oidc
