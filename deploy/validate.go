package deploy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"dms/deploy/devidp"
	"dms/tenancy"
)

// replicas is the number of copies of everything, and so of members. It is no option.
const replicas = 3

// Validate reports everything that is wrong with the configuration at once.
func (c Config) Validate() error {
	return errors.Join(
		c.validateNode(),
		c.validateListeners(),
		c.validateCluster(),
		c.validateTenants(),
		c.validateRequests(),
		c.validateProviders(),
		c.validateAccessKeys(),
		c.validateLog(),
		c.Monitoring.validate(),
		c.validateConsole(),
	)
}

func (c Config) validateNode() error {
	var errs []error
	if !validName(c.Node) {
		errs = append(errs, fmt.Errorf("node: %q is not a name: want 1 to 32 lower-case letters, digits and hyphens", c.Node))
	}
	if c.DataFolder == "" {
		errs = append(errs, errors.New("data_folder: missing"))
	}
	if c.KeysFolder == "" {
		errs = append(errs, errors.New("keys_folder: missing"))
	}
	if c.Stop.Limit < time.Second || c.Stop.Limit > 10*time.Minute {
		errs = append(errs, fmt.Errorf("stop.limit: %s, want 1s to 10m", c.Stop.Limit))
	}
	if s := c.Scrub.AtStart; s < 0 || s > 10*time.Minute {
		errs = append(errs, fmt.Errorf("scrub.at_start: %s, want 0s to 10m", s))
	}
	if e := c.Scrub.Every; e < time.Second || e > time.Hour {
		errs = append(errs, fmt.Errorf("scrub.every: %s, want 1s to 1h", e))
	}
	if e := c.Scrub.ReadEvery; e < time.Second || e > 720*time.Hour {
		errs = append(errs, fmt.Errorf("scrub.read_every: %s, want 1s to 720h", e))
	}
	if b := c.Scrub.BytesPerSecond; b < 64<<10 {
		errs = append(errs, fmt.Errorf("scrub.bytes_per_second: %d, want at least 64 KiB", b))
	}
	return errors.Join(errs...)
}

func (c Config) validateListeners() error {
	var errs []error
	tls := c.API.TLSCertFile != "" && c.API.TLSKeyFile != ""
	if (c.API.TLSCertFile == "") != (c.API.TLSKeyFile == "") {
		errs = append(errs, errors.New("api: tls_cert_file and tls_key_file belong together"))
	}
	if c.API.ClientCAFile != "" && !tls {
		errs = append(errs, errors.New("api.client_ca_file: client certificates need tls_cert_file and tls_key_file"))
	}
	if err := checkAddress(c.API.Listen, true); err != nil {
		errs = append(errs, fmt.Errorf("api.listen: %w", err))
	} else if !tls && !c.API.InsecurePlaintext && !isLoopback(c.API.Listen) {
		errs = append(errs, fmt.Errorf("api.listen: %s is reachable from outside without TLS: give tls_cert_file and tls_key_file, or insecure_plaintext: true where something else protects the traffic", c.API.Listen))
	}
	if err := checkAddress(c.Admin.Listen, true); err != nil {
		errs = append(errs, fmt.Errorf("admin.listen: %w", err))
	}
	if u, err := url.Parse(c.API.PublicURL); c.API.PublicURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" ||
		u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		errs = append(errs, fmt.Errorf("api.public_url: %q, want a scheme and a host such as https://dms.example.com: clients do not keep a path", c.API.PublicURL))
	}
	if !regionName(c.API.Region) {
		errs = append(errs, fmt.Errorf("api.region: %q is not a name: want 1 to 64 letters, digits, hyphens and underscores", c.API.Region))
	}
	if n := len(c.API.Domain); n < 1 || n > 64 {
		errs = append(errs, fmt.Errorf("api.domain: %d characters, want 1 to 64", n))
	}
	return errors.Join(errs...)
}

func (c Config) validateCluster() error {
	var errs []error
	if err := checkAddress(c.Cluster.Listen, false); err != nil {
		errs = append(errs, fmt.Errorf("cluster.listen: %w", err))
	}
	if n := len(c.Cluster.Peers); n != replicas {
		errs = append(errs, fmt.Errorf("cluster.peers: %d peers, want %d: every message is stored on %d members", n, replicas, replicas))
	}
	names, addresses := make(map[string]bool), make(map[string]bool)
	for i, p := range c.Cluster.Peers {
		if !validName(p.Name) {
			errs = append(errs, fmt.Errorf("cluster.peers[%d].name: %q is not a name: want 1 to 32 lower-case letters, digits and hyphens", i, p.Name))
		} else if names[p.Name] {
			errs = append(errs, fmt.Errorf("cluster.peers[%d].name: %s is given twice", i, p.Name))
		}
		if err := checkAddress(p.Address, false); err != nil {
			errs = append(errs, fmt.Errorf("cluster.peers[%d].address: %w", i, err))
		} else if addresses[p.Address] {
			errs = append(errs, fmt.Errorf("cluster.peers[%d].address: %s is given twice", i, p.Address))
		}
		names[p.Name], addresses[p.Address] = true, true
	}
	if c.Node != "" && len(names) > 0 && !names[c.Node] {
		errs = append(errs, fmt.Errorf("cluster.peers: this node, %s, is not among them", c.Node))
	}
	return errors.Join(errs...)
}

func (c Config) validateTenants() error {
	l := tenancy.Limits{
		Queues:         c.Tenants.Limits.Queues,
		GroupsPerQueue: c.Tenants.Limits.GroupsPerQueue,
		StoredBytes:    int64(c.Tenants.Limits.Stored),
	}
	if l.StoredBytes == 0 {
		l.StoredBytes = tenancy.DefaultLimits().StoredBytes
	}
	var errs []error
	if err := l.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("tenants.limits: %w", err))
	}
	for id, only := range c.Tenants.BoundOnly {
		if _, err := tenancy.ParseProjectID(string(id)); err != nil {
			errs = append(errs, fmt.Errorf("tenants.bound_only: %w", err))
		}
		if only && c.API.ClientCAFile == "" {
			errs = append(errs, fmt.Errorf("tenants.bound_only: nobody could reach project %s: api.client_ca_file is missing", id))
		}
	}
	if life := c.Tenants.AccessKeyLife; life < 0 || life > 0 && life < time.Hour {
		errs = append(errs, fmt.Errorf("tenants.access_key_life: %s, want at least 1h, or 0 for no limit", life))
	}
	return errors.Join(errs...)
}

func (c Config) validateRequests() error {
	var errs []error
	for name, n := range map[string]int64{
		"requests_per_second": int64(c.Limits.RequestsPerSecond), "bytes_per_second": int64(c.Limits.BytesPerSecond),
		"failures_per_second": int64(c.Limits.FailuresPerSecond), "connections_per_source": int64(c.Limits.ConnectionsPerSource),
		"polls_per_source": int64(c.Limits.PollsPerSource), "polls_per_project": int64(c.Limits.PollsPerProject),
		"streams_per_source": int64(c.Limits.StreamsPerSource), "streams_per_project": int64(c.Limits.StreamsPerProject),
	} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("limits.%s: %d, want 0 or more", name, n))
		}
	}
	if c.Audit.Keep < 24*time.Hour || c.Audit.Keep > 10*365*24*time.Hour {
		errs = append(errs, fmt.Errorf("audit.keep: %s, want a day to ten years", c.Audit.Keep))
	}
	return errors.Join(errs...)
}

func (c Config) validateProviders() error {
	var errs []error
	ids := make(map[string]bool)
	for i, p := range c.IdentityProviders {
		at := fmt.Sprintf("identity_providers[%d]", i)
		before := len(errs)
		if !validName(p.ID) {
			errs = append(errs, fmt.Errorf("%s.id: %q is not a name: want 1 to 32 lower-case letters, digits and hyphens", at, p.ID))
		} else if ids[p.ID] {
			errs = append(errs, fmt.Errorf("%s.id: %s is given twice", at, p.ID))
		}
		ids[p.ID] = true
		if err := checkIssuer(p.Issuer); err != nil {
			errs = append(errs, fmt.Errorf("%s.issuer: %w", at, err))
		}
		if len(p.Audience) == 0 {
			errs = append(errs, fmt.Errorf("%s.audience: missing: without it the tokens of every other service of this issuer would be accepted", at))
		}
		for _, a := range p.Audience {
			if a == "" {
				errs = append(errs, fmt.Errorf("%s.audience: an empty value", at))
			}
		}
		// What the verifier would refuse comes after what is said better here.
		if len(errs) == before {
			if err := p.options().Validate(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateAccessKeys() error {
	var errs []error
	ids := make(map[string]bool)
	for i, k := range c.AccessKeys {
		at := fmt.Sprintf("access_keys[%d]", i)
		if !accessKeyID(k.ID) {
			errs = append(errs, fmt.Errorf("%s.id: %q is not an access key id: want 1 to 64 letters, digits, hyphens and underscores", at, k.ID))
		} else if ids[k.ID] {
			errs = append(errs, fmt.Errorf("%s.id: %s is given twice", at, k.ID))
		}
		ids[k.ID] = true
		if k.SecretFile == "" {
			errs = append(errs, fmt.Errorf("%s.secret_file: missing", at))
		}
		if _, err := tenancy.ParseProjectID(string(k.Project)); err != nil {
			errs = append(errs, fmt.Errorf("%s.project: %w", at, err))
		}
		if len(k.Roles) == 0 {
			errs = append(errs, fmt.Errorf("%s.roles: missing", at))
		}
		for _, r := range k.Roles {
			if _, err := tenancy.ParseRole(string(r)); err != nil {
				errs = append(errs, fmt.Errorf("%s.roles: %w", at, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateLog() error {
	_, err := c.Log.level()
	if c.Log.Format != "text" && c.Log.Format != "json" {
		err = errors.Join(err, fmt.Errorf("log.format: %q, want text or json", c.Log.Format))
	}
	return err
}

func validName(s string) bool {
	return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(s)
}

func regionName(s string) bool { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(s) }

func accessKeyID(s string) bool { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(s) }

// checkAddress accepts host:port with a numeric port, 0 only where it is allowed.
func checkAddress(address string, zero bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port", address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !zero {
		return fmt.Errorf("%q has no usable port", address)
	}
	if host == "" {
		return fmt.Errorf("%q has no host: write 0.0.0.0 or [::] to listen on every address", address)
	}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkIssuer accepts https URLs, and http on this machine only. It refuses the
// development identity provider, which gives tokens to everyone who asks.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return errors.New("missing")
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%q is not the URL of an issuer", issuer)
	case isDevelopmentIssuer(u):
		return fmt.Errorf("%s is the development identity provider of dms dev, which is no protection: it cannot be used here", issuer)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(net.JoinHostPort(u.Hostname(), "0")):
		return nil
	}
	return fmt.Errorf("%s: want https", issuer)
}

// isDevelopmentIssuer tells the issuer of dms dev by the path it is mounted at.
func isDevelopmentIssuer(u *url.URL) bool {
	return strings.TrimRight(u.Path, "/") == devidp.Path
}
