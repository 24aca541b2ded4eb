package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options configure a Client. Endpoint, Project and Token are required.
type Options struct {
	Endpoint string // base URL of the service, for example https://dms.example.org
	Project  string // id of the project, 32 hexadecimal digits
	// Token returns the credential of a request. It is asked for every request, so that it
	// may renew what it returns.
	Token func(context.Context) (string, error)
	// HTTP does the requests; nil means a client without a limit of its own. Consuming
	// waits for up to a minute, so requests are bounded by their contexts.
	HTTP *http.Client
}

// Fixed returns a Token that is always the same.
func Fixed(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Client makes calls for one project. It may be used by several goroutines.
type Client struct {
	base  string
	token func(context.Context) (string, error)
	http  *http.Client
}

// New checks the options. It connects to nothing.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: endpoint: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("client: the endpoint must be an http or https URL")
	case o.Project == "":
		return nil, errors.New("client: the project is missing")
	case o.Token == nil:
		return nil, errors.New("client: the token is missing")
	}
	c := &Client{base: strings.TrimSuffix(o.Endpoint, "/") + "/v2/" + url.PathEscape(o.Project), token: o.Token, http: o.HTTP}
	if c.http == nil {
		c.http = &http.Client{}
	}
	return c, nil
}

// Error is a refusal of the service.
type Error struct {
	Status     int
	Code       string // for example "DMS.10240401"
	Message    string
	RequestID  string
	RetryAfter time.Duration // what the service asks to wait for; 0 if it does not
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s (request %s)", e.Status, e.Code, e.Message, e.RequestID)
}

// largestAnswer bounds what is read of an answer.
const largestAnswer = 64 << 20

// call does one request. in is the body, nil for none; out takes the answer, nil ignores it.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	u := c.base + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return err
	}
	token, err := c.token(ctx)
	if err != nil {
		return fmt.Errorf("token for %s %s: %w", method, path, err)
	}
	req.Header.Set("X-Auth-Token", token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k, ok := ctx.Value(keyOfSend{}).(string); ok {
		req.Header.Set("Idempotency-Key", k)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end, or of no use
	answer, err := io.ReadAll(io.LimitReader(res.Body, largestAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		return refusal(res, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return nil
}

func refusal(res *http.Response, answer []byte) error {
	e := &Error{Status: res.StatusCode, Message: http.StatusText(res.StatusCode), RequestID: res.Header.Get("X-Request-Id")}
	var told struct {
		Code    string `json:"error_code"`
		Message string `json:"error_msg"`
	}
	// Something between here and the service may answer in another form.
	if json.Unmarshal(answer, &told) == nil && told.Code != "" {
		e.Code, e.Message = told.Code, told.Message
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// seconds is a duration in whole seconds, the next larger one.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
