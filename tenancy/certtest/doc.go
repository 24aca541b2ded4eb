// Package certtest makes certificate authorities and certificates for tests of TLS.
// Nothing else may import it.
package certtest
