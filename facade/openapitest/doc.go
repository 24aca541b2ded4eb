// Package openapitest holds answers of the service against the description of its
// API. It is for tests; the service itself does not need it.
package openapitest
