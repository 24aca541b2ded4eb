// Command bench compares the REST interface with the bare log it stands on, in one
// process and one run, so that the ratios mean something on a noisy machine. It is
// not part of the product.
package main
