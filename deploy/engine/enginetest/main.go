package enginetest

import (
	"fmt"
	"os"
	"testing"
)

// Main is what TestMain does in a package whose tests share a cluster, which it puts
// where shared points. Each test uses projects of its own. It ends the process.
func Main(m *testing.M, shared **Cluster) {
	c, err := Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot start the engine:", err)
		os.Exit(1)
	}
	*shared = c
	code := m.Run()
	c.Stop()
	os.Exit(code)
}
