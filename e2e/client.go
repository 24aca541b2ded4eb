package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// callLimit ends every call; it is longer than the longest long poll.
const callLimit = 90 * time.Second

// Client calls the service with a token and without any knowledge of the API: methods,
// URLs and bodies are those of the caller, byte for byte.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a client for the service at the base URL. Without a token the calls
// carry no credential. The transport may be nil.
func NewClient(base, token string, transport http.RoundTripper) *Client {
	return &Client{base: base, token: token, http: &http.Client{
		Transport: transport,
		// API calls are never redirected; following would hide one that is.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Answer is a whole answer of the service.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// String tells the status and the start of the body.
func (a Answer) String() string { return fmt.Sprintf("%d %.600s", a.Status, a.Body) }

// Do makes one call. The path starts with a slash and may have a query; header holds
// names and values in turn and wins over what the client would send.
func (c *Client) Do(ctx context.Context, method, path, body string, header ...string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return c.Send(req)
}

// Send makes a call that the caller has prepared in full.
func (c *Client) Send(req *http.Request) (Answer, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: content}, nil
}
