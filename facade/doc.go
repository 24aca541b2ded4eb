// Package facade is everything the service answers over HTTP: the DMS API, token
// exchange, the stream of events and the error bodies. Pages for browsers are console's.
// What an operation means is mapping's business and who may do it is tenancy's; handlers
// here parse, ask once and encode.
package facade
