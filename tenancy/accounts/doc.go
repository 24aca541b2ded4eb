// Package accounts gives every project an account of the storage cluster: what one
// project stores cannot be named, read or filled up from another. It mints the
// accounts and hands out connections; what is stored in them is left to its callers.
package accounts
