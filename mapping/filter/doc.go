// Package filter decides which messages a search wants: by label, attribute, text of
// the body, or an expression in the Common Expression Language. It reads stored payloads
// and leaves finding messages, and how many of them may be looked at, to mapping.
package filter
