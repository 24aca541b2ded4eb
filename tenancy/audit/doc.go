// Package audit says what is recorded of who did what, how records are chained so that
// tampering shows, and how calls that are too many to be recorded one by one are counted.
// It does no I/O: package trail keeps the records.
package audit
