// Package seal closes small things into boxes that only the nodes of a service can open:
// tokens, receipts, secrets at rest.
package seal
