// Command dms runs the service: "dms dev" on one machine for development, "dms serve"
// as one node of a cluster of three. It reads flags and signals and sets the exit code;
// everything else is in package deploy.
package main
