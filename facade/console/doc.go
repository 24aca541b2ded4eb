// Package console serves the web console: the built application, signing in and out, and
// who has signed in. Everything that the pages show and do goes through the public API,
// which accepts the console's session cookie; there is no other endpoint here.
//
// The browser never holds a token. It holds the secret of a session whose tokens are
// sealed at rest, and every node serves every session.
package console
