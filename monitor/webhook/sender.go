package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	timeout   = 5 * time.Second
	maxAnswer = 64 << 10 // bytes of an answer that are read
	// MaxBody bounds a notification in bytes.
	MaxBody = 64 << 10
)

// Message is one notification to one address.
type Message struct {
	ID     string // the same for every attempt
	URL    string
	Secret []byte
	Body   []byte // CloudEvents in JSON
}

// Sender sends notifications. It is safe for concurrent use.
type Sender struct {
	guard         guard
	secure, plain *http.Client
	now           func() time.Time
}

// Options configure a Sender.
type Options struct {
	Allowed []Allowed
	TLS     *tls.Config      // nil is the system's certificates
	Now     func() time.Time // nil is time.Now
}

// New returns a Sender.
func New(o Options) *Sender {
	g := guard{o.Allowed}
	client := func(plain bool) *http.Client {
		dialer := &net.Dialer{Timeout: timeout, Control: g.control(plain)}
		return &http.Client{
			Timeout: timeout,
			// An answer that points elsewhere is an answer, and not a success.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				// No proxy: it would connect where this process must not.
				Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: o.TLS, TLSHandshakeTimeout: timeout,
				DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true,
			},
		}
	}
	s := &Sender{guard: g, secure: client(false), plain: client(true), now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Send makes one attempt. Only an answer of the 2xx kind is a success. The error says
// nothing about what is behind the address: tenants read it.
func (s *Sender) Send(ctx context.Context, m Message) error {
	u, err := parse(m.URL)
	if err != nil {
		return err
	}
	if len(m.Body) > MaxBody {
		return fmt.Errorf("the notification has %d bytes, more than %d", len(m.Body), MaxBody)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return ErrForbidden
	}
	at := strconv.FormatInt(s.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/cloudevents+json")
	req.Header.Set("User-Agent", "dms")
	// The headers of the Standard Webhooks specification.
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", Sign(m.Secret, m.ID, at, m.Body))
	client := s.secure
	if u.Scheme == "http" {
		client = s.plain
	}
	res, err := client.Do(req)
	switch {
	case err == nil:
	case errors.Is(err, ErrForbidden):
		return ErrForbidden
	case ctx.Err() != nil:
		return fmt.Errorf("the attempt was cut short: %w", context.Cause(ctx))
	default:
		if timed, ok := errors.AsType[net.Error](err); ok && timed.Timeout() {
			return fmt.Errorf("no answer within %v", timeout)
		}
		return errors.New("no connection could be made")
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the peer sees its answer taken
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered with status %d", res.StatusCode)
	}
	return nil
}

// Sign returns the signature header of a notification: "v1," and the HMAC-SHA-256, in
// base64, of id, timestamp and body with dots between them.
func Sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	// Writing to a hash never fails.
	_, _ = io.WriteString(mac, id+"."+timestamp+".")
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
