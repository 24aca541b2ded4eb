package facade

import (
	"fmt"
	"strings"
	"testing"

	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestRouteTable(t *testing.T) {
	var b strings.Builder
	for _, rt := range routes() {
		needs := map[tenancy.Permission]string{
			0: "public", tenancy.Observe: "observe", tenancy.Produce: "produce", tenancy.Consume: "consume", tenancy.Manage: "manage",
			tenancy.Operate: "operate", tenancy.Inspect: "inspect",
		}[rt.needs]
		if rt.caller {
			needs = "caller"
		}
		fmt.Fprintf(&b, "%-6s %-68s %-8s %-6s %d\n", rt.method, rt.pattern, needs, rt.class, rt.body)
	}
	golden(t, "routes.golden", b.String())
}

func TestEveryRouteSaysWhoMayUseIt(t *testing.T) {
	for _, rt := range routes() {
		if err := rt.validate(); err != nil {
			t.Error(err)
		}
		if strings.Contains(rt.pattern, "{project}") && rt.public {
			t.Errorf("%s %s of a project is public", rt.method, rt.pattern)
		}
	}
	rt := routes()[0]
	rt.needs = 0
	if rt.validate() == nil {
		t.Error("a route without permission is accepted")
	}
	rt.caller = true
	if err := rt.validate(); err != nil {
		t.Error(err)
	}
	rt.public = true
	if rt.validate() == nil {
		t.Error("a public route that needs a caller is accepted")
	}
	rt.needs, rt.public, rt.caller = tenancy.Observe, true, false
	if rt.validate() == nil {
		t.Error("a public route with a permission is accepted")
	}
}

func TestRoutesAreThoseOfTheDescription(t *testing.T) {
	var doc struct {
		Servers []struct{ URL string }
		Paths   map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	// Parameters have longer names in the description.
	names := strings.NewReplacer("{project_id}", "{project}", "{queue_id}", "{queue}", "{group_id}", "{group}", "{access_key_id}", "{access_key}", "{alarm_id}", "{alarm}", "{job_id}", "{job}")
	described := make(map[string]bool)
	for path, item := range doc.Paths {
		for method := range item {
			switch method {
			case "parameters", "servers":
				continue
			}
			for _, server := range doc.Servers {
				prefix := server.URL
				if _, own := item["servers"]; own {
					prefix = ""
				}
				described[strings.ToUpper(method)+" "+prefix+names.Replace(path)] = true
			}
		}
	}
	served := make(map[string]bool)
	for _, rt := range routes() {
		served[rt.method+" "+rt.pattern] = true
	}
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("routes (-described +served):\n%s", diff)
	}
}
