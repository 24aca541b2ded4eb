// Package tenancy says who is calling, in which project, and what that project may use.
// It is vocabulary and policy without I/O: credentials are verified in its sub-packages,
// and requests are read in facade.
package tenancy
