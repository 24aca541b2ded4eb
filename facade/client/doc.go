// Package client speaks the service's REST interface below /v2: the published operations
// and the additions to them. It is what the project's own tests and commands use; how an
// operation is meant is said in the description at /openapi.yaml.
package client
