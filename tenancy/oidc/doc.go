// Package oidc verifies tokens of OpenID Connect identity providers. Discovery and the
// check of the signature's frame are go-oidc's; what it leaves open is decided here:
// algorithms, token types, audiences, lifetimes, what a token is bound to, and how often
// keys are fetched. What the claims of a good token mean is package claims' business.
//
// A provider need not be reachable when the service starts. It is asked at the first
// token, from then on in the background, and never more often than keySet allows.
package oidc
