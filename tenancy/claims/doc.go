// Package claims turns the claims of a verified token into a subject, a name, projects
// and roles, by expressions in CEL, the Common Expression Language, that the operator
// writes for each identity provider. Expressions are compiled and checked once; what
// they cost is bounded at every evaluation, because claims are written by others.
//
// Whether a token is genuine, and for whom it is meant, is decided before, in package
// oidc. Nothing here reads the signature, the issuer or the times.
package claims
