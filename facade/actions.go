package facade

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"dms/tenancy"

	"go.yaml.in/yaml/v3"
)

// actions returns the name of every operation by method and pattern, as the description
// of the API has them. Patterns are without the version. The audit trail names
// operations like this, so that a new route has a name as soon as it is described.
var actions = sync.OnceValues(func() (map[string]string, error) {
	var doc struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	// Parameters have longer names in the description.
	names := strings.NewReplacer("{project_id}", "{project}", "{queue_id}", "{queue}", "{group_id}", "{group}", "{access_key_id}", "{access_key}", "{alarm_id}", "{alarm}", "{job_id}", "{job}")
	all := make(map[string]string)
	for path, item := range doc.Paths {
		for method, node := range item {
			if method == "parameters" || method == "servers" {
				continue
			}
			var op struct {
				ID string `yaml:"operationId"`
			}
			if err := node.Decode(&op); err != nil {
				return nil, fmt.Errorf("read the description of %s: %w", path, err)
			}
			all[strings.ToUpper(method)+" "+names.Replace(path)] = op.ID
		}
	}
	return all, nil
})

// name gives the route its name. A route without one cannot be recorded and is not served.
func (rt *route) name(actions map[string]string) error {
	rt.action = actions[rt.method+" "+rt.pattern] // of what is served below one version only
	for _, v := range versions() {
		if below, ok := strings.CutPrefix(rt.pattern, v+"/{project}"); ok && rt.action == "" {
			rt.action = actions[rt.method+" /{project}"+below]
		}
	}
	if rt.action == "" {
		return fmt.Errorf("route %s %s is not described and so has no name", rt.method, rt.pattern)
	}
	return nil
}

// changes reports whether the route's calls change something that somebody may have to
// answer for, so that each is recorded. Messages that come and go are counted instead.
func (rt route) changes() bool {
	return (rt.needs == tenancy.Manage || rt.needs == tenancy.Operate || rt.caller) && rt.method != http.MethodGet
}
