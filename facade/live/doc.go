// Package live looks at something once for all who look on, and tells each of them what
// has changed since they last heard. What is looked at, and how it is written to a client,
// is left to others.
//
// A feed keeps what is there and when, by its own count, each part of it last changed. So
// an onlooker who was away is told exactly what it missed, however long that was, and a
// slow one costs nothing but its own delay: there is no queue of events that could
// overflow.
package live
