package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The binary is built once, and most tests share one running service; those that kill it
// or use up its quotas start their own. Both are set before the first test runs.
var (
	binary      string
	service     *Process
	description *Description
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := widen(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code, err := withService(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// widen lets more tests run at once than there are processors, unless the command line
// says how many: they mostly wait for the service.
func widen() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// withService runs the tests with a service to share. One that does not stop in order
// is an error even when all tests pass.
func withService(run func() int) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "dms-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if binary, err = Build(ctx, folder); err != nil {
		return 1, err
	}
	if service, err = Start(ctx, binary, filepath.Join(folder, "data")); err != nil {
		return 1, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = errors.Join(err, service.Stop(ctx))
	}()
	document, err := NewClient(service.Env.Endpoint, "", nil).Do(ctx, http.MethodGet, "/openapi.yaml", "")
	if err != nil {
		return 1, err
	}
	if description, err = ReadDescription(ctx, document.Body); err != nil {
		return 1, err
	}
	if code = run(); code != 0 {
		fmt.Fprintf(os.Stderr, "what the shared service wrote last:\n%s\n", service.Log())
	}
	return code, nil
}

// ownService runs a service for one test, with its data in folder. The test may kill it.
func ownService(t *testing.T, folder string) *Process {
	t.Helper()
	p, err := Start(t.Context(), binary, folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended when clean-ups run.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("what the service wrote last:\n%s", p.Log())
		}
	})
	return p
}
