// Package e2e is a customer of the service: it builds the product's binary, runs it, and
// speaks to it over HTTP only, with unmodified public clients and with one of its own.
// The package shares no code with the product, so what it knows of the service is what any
// customer can know: the published contract and the served description.
package e2e
