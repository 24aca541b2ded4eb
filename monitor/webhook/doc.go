// Package webhook delivers notifications to addresses that tenants choose. Tenants must
// not reach with it what only the service can reach, so it connects to public addresses
// only, unless the operator allows others.
package webhook
