package openapitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"dms/facade"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Transport passes requests on and fails those whose answer is not as described: an
// unknown URL, method or status, a missing header, a body of another shape.
type Transport struct {
	base http.RoundTripper
	doc  *openapi3.T
}

// NewTransport returns a transport over base, http.DefaultTransport if that is nil. It
// fails if the description itself is not valid.
func NewTransport(base http.RoundTripper) (*Transport, error) {
	if base == nil {
		base = http.DefaultTransport
	}
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	return &Transport{base: base, doc: doc}, nil
}

// Document returns the parsed and validated description. Reading it takes a second with
// the race detector, so it is read once; nobody may change it.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(facade.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("read the API description: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the API description is not valid: %w", err)
	}
	return doc, nil
})

// RoundTrip implements http.RoundTripper. The body of the answer has been read to its
// end when it returns.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(req)
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

func (t *Transport) check(req *http.Request, res *http.Response, body []byte) error {
	route, err := t.find(req)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route},
		Status:                 res.StatusCode,
		Header:                 res.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if res.StatusCode == http.StatusNoContent && len(body) > 0 {
		return fmt.Errorf("a body of %d bytes where there is none", len(body))
	}
	return openapi3filter.ValidateResponse(req.Context(), input.SetBodyBytes(body))
}

// find returns the operation that a request is for. Of several paths that fit, the
// one with the fewest parameters counts.
func (t *Transport) find(req *http.Request) (*routers.Route, error) {
	var best *routers.Route
	fewest := 0
	for path, item := range t.doc.Paths.Map() {
		op := item.GetOperation(req.Method)
		if op == nil {
			continue
		}
		servers := t.doc.Servers
		if len(item.Servers) > 0 {
			servers = item.Servers
		}
		for _, server := range servers {
			params, ok := fits(strings.TrimSuffix(server.URL, "/")+path, req.URL.EscapedPath())
			if ok && (best == nil || params < fewest) {
				best = &routers.Route{Spec: t.doc, Server: server, Path: path, PathItem: item, Method: req.Method, Operation: op}
				fewest = params
			}
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no such operation is described")
	}
	return best, nil
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
