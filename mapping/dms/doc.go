// Package dms is the vocabulary of the service: queues, groups, messages, deliveries
// and the errors that concern them, with the rules a value must meet. It does no I/O
// and knows neither HTTP nor the storage engine; those are facade's and mapping's.
package dms
