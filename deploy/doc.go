// Package deploy assembles a node: it reads the configuration, starts the embedded
// storage member, wires the other packages together and stops them again in order.
// It is Go and not a folder of scripts so that tests and other programs can start a
// real node; what each part does is left to that part.
package deploy
