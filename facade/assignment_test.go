package facade_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dms/facade"
	"dms/facade/openapitest"
	"dms/tenancy"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestNoMemberOfAnswersCanBeSent sends every member that any answer has, in every object
// of every request body that does not take it, and expects each to be refused.
func TestNoMemberOfAnswersCanBeSent(t *testing.T) {
	doc, err := openapitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	members := make(map[string]bool)
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				if content := response.Value.Content.Get("application/json"); content != nil && status[0] == '2' {
					collect(content.Schema.Value, members)
				}
			}
		}
	}
	if len(members) < 60 {
		t.Fatalf("only %d members of answers are described: %v", len(members), slices.Sorted(maps.Keys(members)))
	}
	f := &fake{tenants: []tenancy.Project{{ID: project, Limits: tenancy.DefaultLimits()}}}
	m := &monitoring{}
	s := serve(t, f, func(o *facade.Options, _ *http.Server) { o.Alarms, o.Metrics = m, m })
	tried := 0
	for _, rt := range readRoutes(t) {
		token, text := "manager", rt.body()
		if rt.needs == "operate" {
			token, text = "operator", operators(project)[rt.method+" "+rt.path(project)]
			if rt.method == "POST" || rt.method == "PATCH" {
				text = `{"name":"x","limits":{"queues":1}}`
			}
		}
		if text == "" || rt.needs == "public" || rt.pattern[:4] == "/v1/" || rt.pattern[:5] == "/v1.0" { // the same handlers
			continue
		}
		schema := bodySchema(t, doc, rt)
		var body any
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		for _, place := range places(body, schema) {
			for _, member := range slices.Sorted(maps.Keys(members)) {
				if place.takes[member] {
					continue
				}
				place.object[member] = 1
				sent, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				delete(place.object, member)
				tried++
				if got := s.with(s.plain, rt.method, rt.path(project), string(sent), "X-Auth-Token", token); got.status != 400 {
					t.Errorf("%s %s %s: got %d %s, want 400", rt.method, rt.pattern, sent, got.status, got.body)
				}
			}
		}
	}
	if tried < 800 {
		t.Errorf("only %d bodies were sent", tried)
	}
	if calls := f.called() + strings.Join(m.calls, " "); calls != "" {
		t.Errorf("refused requests reached the service: %s", calls)
	}
}

// collect gathers the names of all members that a schema describes.
func collect(s *openapi3.Schema, into map[string]bool) {
	for name, p := range s.Properties {
		if !into[name] {
			into[name] = true
			collect(p.Value, into)
		}
	}
	for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
		collect(part.Value, into)
	}
	if s.Items != nil {
		collect(s.Items.Value, into)
	}
}

// place is an object of a body, and the members that it may have.
type place struct {
	object map[string]any
	takes  map[string]bool
}

// places finds the objects of a body that the schema describes. What is the tenant's own,
// such as bodies of messages, has no description and may have any member.
func places(v any, s *openapi3.Schema) (all []place) {
	switch v := v.(type) {
	case map[string]any:
		properties := make(openapi3.Schemas)
		for _, part := range append(s.AllOf, &openapi3.SchemaRef{Value: s}) {
			maps.Copy(properties, part.Value.Properties)
		}
		if len(properties) == 0 {
			return nil
		}
		p := place{object: v, takes: make(map[string]bool)}
		for name, member := range properties {
			p.takes[name] = true
			if inner, ok := v[name]; ok {
				all = append(all, places(inner, member.Value)...)
			}
		}
		all = append(all, p)
	case []any:
		if s.Items != nil {
			for _, e := range v {
				all = append(all, places(e, s.Items.Value)...)
			}
		}
	}
	return all
}

func bodySchema(t *testing.T, doc *openapi3.T, rt listed) *openapi3.Schema {
	t.Helper()
	path := rt.path(project)
	for template, item := range doc.Paths.Map() {
		op := item.GetOperation(rt.method)
		if op == nil || op.RequestBody == nil {
			continue
		}
		l := listed{pattern: template}
		for _, prefix := range []string{"", "/v2"} {
			if got := prefix + replaced(l.pattern); got == path {
				return op.RequestBody.Value.Content.Get("application/json").Schema.Value
			}
		}
	}
	t.Fatalf("no body is described of %s", fmt.Sprint(rt))
	return nil
}

// replaced fills in a template of the description, which has longer names.
func replaced(template string) string {
	for from, to := range map[string]string{"{project_id}": project, "{queue_id}": queueID, "{group_id}": groupID, "{key}": "k", "{access_key_id}": keyID, "{alarm_id}": alarmID} {
		template = strings.ReplaceAll(template, from, to)
	}
	return template
}
