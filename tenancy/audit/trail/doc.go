// Package trail keeps the records of who did what: one replicated stream per project, in
// the project's own account, and one in the service's. What a record holds and how records
// are chained is said in package audit.
package trail
