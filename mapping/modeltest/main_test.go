package modeltest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"testing"

	"dms/deploy/engine/enginetest"
	"dms/mapping"
	"dms/tenancy"
	"dms/tenancy/seal"

	"github.com/nats-io/nats.go"
)

var (
	cluster    *enginetest.Cluster
	worlds     = flag.Int("model.worlds", 8, "projects that are compared side by side")
	operations = flag.Int("model.n", 2000, "operations to compare; the seed of a run that fails is printed, see -rapid.seed")
)

// steps is how many operations a sequence has on average.
const steps = 60

func TestMain(m *testing.M) {
	flag.Parse()
	given := make(map[string]bool)
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"test.parallel":    strconv.Itoa(*worlds), // they mostly wait
		"rapid.steps":      strconv.Itoa(steps),
		"rapid.checks":     strconv.Itoa(max(*operations, 100)), // the worlds stop at their share
		"rapid.nofailfile": "true",
		"rapid.shrinktime": "60s",
	} {
		if !given[name] {
			if err := flag.Set(name, value); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
	enginetest.Main(m, &cluster)
}

// tenants connects through one member of the cluster under test.
type tenants struct {
	member  int
	project tenancy.Project
}

func (t tenants) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return cluster.AccountsVia(t.member).Connect(ctx, id)
}

func (t tenants) Project(context.Context, tenancy.ProjectID) (tenancy.Project, error) {
	return t.project, nil
}

func newBroker(p tenancy.Project, member, nodes int, log io.Writer) (*mapping.Broker, error) {
	return mapping.New(mapping.Options{
		Tenants:     tenants{member: member, project: p},
		SealingKeys: []seal.Key{{ID: 1, Secret: [32]byte{1, 2, 3}}},
		Nodes:       nodes,
		Log:         slog.New(slog.NewTextHandler(log, nil)),
	})
}
