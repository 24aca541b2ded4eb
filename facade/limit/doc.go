// Package limit keeps callers from taking more than their share: rates of projects, failed
// credentials and connections of addresses. It counts and says yes or no; what is answered
// to a caller is decided in facade.
package limit
