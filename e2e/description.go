package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Description is the OpenAPI document that the service serves of itself.
type Description struct{ doc *openapi3.T }

// ReadDescription reads and checks the document.
func ReadDescription(ctx context.Context, document []byte) (*Description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	if err := doc.Validate(ctx); err != nil {
		return nil, fmt.Errorf("the description is not valid: %w", err)
	}
	return &Description{doc: doc}, nil
}

// Operation is one described method of a path.
type Operation struct {
	ID      string
	Method  string
	Path    string   // template, below each of the prefixes
	Prefix  []string // "" for a path that stands at the root
	NoToken bool     // it can be called without a credential
}

// operatorPrefix is where operators' operations are. Their errors have a shape of their
// own, which the description tells.
const operatorPrefix = "/admin/"

// Operators reports whether the operation is one of operators.
func (o Operation) Operators() bool { return strings.HasPrefix(o.Path, operatorPrefix) }

// Operations returns all that is described, ordered by ID.
func (d *Description) Operations() []Operation {
	var all []Operation
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			o := Operation{ID: op.OperationID, Method: method, Path: path}
			o.NoToken = op.Security != nil && len(*op.Security) == 0
			for _, s := range servers(d.doc, item) {
				o.Prefix = append(o.Prefix, strings.TrimSuffix(s.URL, "/"))
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func servers(doc *openapi3.T, item *openapi3.PathItem) openapi3.Servers {
	if len(item.Servers) > 0 {
		return item.Servers
	}
	return doc.Servers
}

// Transport makes calls and fails those whose answers are not as described: an answer
// without a request ID, an error that is not an object of five strings (or, of the
// identity operations, not one of theirs), and, for a URL that is described, a status, a
// header or a body of another shape.
type Transport struct {
	Base        http.RoundTripper
	Description *Description
}

// RoundTrip implements http.RoundTripper. The body of the answer has been read to its
// end when it returns.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.Base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", req.Method, req.URL.Path, err)
	}
	if err := t.check(req, res, body); err != nil {
		return nil, fmt.Errorf("%s %s: status %d is not as described: %w; body: %.500s", req.Method, req.URL.Path, res.StatusCode, err, body)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func (t Transport) check(req *http.Request, res *http.Response, body []byte) error {
	id := res.Header.Get("X-Request-Id")
	if id == "" {
		return fmt.Errorf("there is no X-Request-Id")
	}
	route := t.Description.route(req.Method, req.URL.EscapedPath())
	if res.StatusCode >= http.StatusBadRequest && !identity(route) && !strings.HasPrefix(req.URL.Path, operatorPrefix) {
		if err := checkError(body, id); err != nil {
			return err
		}
	}
	if res.StatusCode == http.StatusNoContent && len(body) > 0 {
		return fmt.Errorf("a body of %d bytes where there is none", len(body))
	}
	if route == nil {
		if res.StatusCode < http.StatusBadRequest {
			return fmt.Errorf("the operation is not described")
		}
		return nil
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route},
		Status:                 res.StatusCode,
		Header:                 res.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	return openapi3filter.ValidateResponse(req.Context(), input.SetBodyBytes(body))
}

// identity reports whether an operation is one of those whose errors have the shape of
// OpenStack's identity service, which is as described.
func identity(route *routers.Route) bool {
	return route != nil && (route.Path == "/" || route.Path == "/v3" || strings.HasPrefix(route.Path, "/v3/"))
}

// checkError demands the five strings on which all known clients agree.
func checkError(body []byte, requestID string) error {
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		return fmt.Errorf("the error is not an object: %w", err)
	}
	want := []string{"code", "error_code", "error_msg", "message", "request_id"}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
		return fmt.Errorf("the error has the members %v, not %v", got, want)
	}
	for name, v := range members {
		if s, ok := v.(string); !ok || s == "" {
			return fmt.Errorf("%s of the error is %v, not a text", name, v)
		}
	}
	number := strings.TrimPrefix(members["error_code"].(string), "DMS.")
	switch {
	case members["request_id"] != requestID:
		return fmt.Errorf("the error has request_id %v, the header %s", members["request_id"], requestID)
	case members["code"] != number:
		return fmt.Errorf("the error has error_code %v but code %v", members["error_code"], members["code"])
	case members["message"] != members["error_msg"]:
		return fmt.Errorf("the error has two different texts")
	}
	return nil
}

// route finds the described operation of a call, nil if there is none. Of several paths
// that fit, the one with the fewest parameters counts.
func (d *Description) route(method, path string) *routers.Route {
	var best *routers.Route
	fewest := 0
	for template, item := range d.doc.Paths.Map() {
		op := item.GetOperation(method)
		if op == nil {
			continue
		}
		for _, server := range servers(d.doc, item) {
			params, ok := fits(strings.TrimSuffix(server.URL, "/")+template, path)
			if ok && (best == nil || params < fewest) {
				best = &routers.Route{Spec: d.doc, Server: server, Path: template, PathItem: item, Method: method, Operation: op}
				fewest = params
			}
		}
	}
	return best
}

// fits reports whether a path fits a template, and how many parameters that has.
func fits(template, path string) (params int, ok bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0, false
	}
	for i, segment := range want {
		switch {
		case strings.HasPrefix(segment, "{"):
			if got[i] == "" {
				return 0, false
			}
			params++
		case segment != got[i]:
			return 0, false
		}
	}
	return params, true
}
