// Package oidctest provides identity providers that do what a test tells them, tokens of
// every kind, and the corpus of bad ones. It is for tests; nothing else may import it.
package oidctest
