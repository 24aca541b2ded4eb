// Package history keeps samples for hours and days and answers what a figure was when. It
// stores bytes through an interface and leaves it to others to make them durable.
package history
