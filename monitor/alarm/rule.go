package alarm

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"dms/mapping/dms"
	"dms/monitor/sample"

	"github.com/google/uuid"
)

// Limits of rules.
const (
	MaxName        = 64  // characters
	MaxDescription = 256 // characters
	MaxWebhooks    = 3
	MaxFor         = 24 * time.Hour
	MaxMute        = 30 * 24 * time.Hour
	minSecret      = 16
	maxSecret      = 256
)

// ID names an alarm within its project: 32 hexadecimal digits.
type ID string

// NewID returns a random id.
func NewID() ID {
	id := uuid.New()
	return ID(hex.EncodeToString(id[:]))
}

// ParseID accepts exactly 32 lower-case hexadecimal digits.
func ParseID(s string) (ID, bool) {
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	return ID(s), true
}

// Comparison says on which side of the threshold a figure is bad.
type Comparison string

const (
	Above   Comparison = ">"
	AtLeast Comparison = ">="
	Below   Comparison = "<"
	AtMost  Comparison = "<="
)

func (c Comparison) holds(v, threshold float64) bool {
	switch c {
	case Above:
		return v > threshold
	case AtLeast:
		return v >= threshold
	case Below:
		return v < threshold
	case AtMost:
		return v <= threshold
	}
	return false
}

// Severity is how urgent an alarm is, in the words of the original service.
type Severity string

const (
	Critical Severity = "critical"
	Major    Severity = "major"
	Minor    Severity = "minor"
	Info     Severity = "info"
)

// Webhook is where notifications of an alarm go.
type Webhook struct {
	URL string `json:"url"`
	// Secret signs notifications. Within a stored rule it is sealed.
	Secret Secret `json:"secret"`
}

// Secret is a text that must not appear in logs.
type Secret string

// LogValue and String show nothing of it.
func (s Secret) String() string   { return "[secret]" }
func (s Secret) GoString() string { return "[secret]" }

// Rule is one alarm of a project. It applies to every queue or group that it selects, and
// to each by itself.
type Rule struct {
	ID          ID         `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Metric      string     `json:"metric"`
	Comparison  Comparison `json:"comparison"`
	Threshold   float64    `json:"threshold"`
	// For is for how long the figure must be bad before the alarm fires.
	For time.Duration `json:"for"`
	// Resolve is the threshold on whose other side the figure must be, for ResolveFor,
	// before the alarm resolves; nil is Threshold.
	Resolve    *float64      `json:"resolve,omitempty"`
	ResolveFor time.Duration `json:"resolve_for,omitempty"`
	Queue      dms.QueueID   `json:"queue,omitempty"` // "" selects all queues
	Group      dms.GroupID   `json:"group,omitempty"` // "" selects all groups
	Severity   Severity      `json:"severity"`
	Disabled   bool          `json:"disabled,omitempty"`
	Webhooks   []Webhook     `json:"webhooks,omitempty"`
	MutedUntil time.Time     `json:"muted_until,omitzero"`
	Created    time.Time     `json:"created"`
	Changed    time.Time     `json:"changed"`
}

// Muted reports whether nobody shall be told at the time.
func (r Rule) Muted(now time.Time) bool { return now.Before(r.MutedUntil) }

// Validate returns a sentence that names the field of the first thing that is wrong.
func (r Rule) Validate() error {
	m, _, known := sample.Find(r.Metric)
	switch {
	case r.Name == "" || utf8.RuneCountInString(r.Name) > MaxName || strings.ContainsFunc(r.Name, control):
		return fmt.Errorf("name must have 1 to %d characters, none of them a control character", MaxName)
	case utf8.RuneCountInString(r.Description) > MaxDescription || strings.ContainsFunc(r.Description, control):
		return fmt.Errorf("description must have at most %d characters, none of them a control character", MaxDescription)
	case !known:
		return fmt.Errorf("metric must be one of %s", strings.Join(metricIDs(), ", "))
	case r.Comparison != Above && r.Comparison != AtLeast && r.Comparison != Below && r.Comparison != AtMost:
		return fmt.Errorf("comparison must be >, >=, < or <=")
	case math.IsNaN(r.Threshold) || math.IsInf(r.Threshold, 0) || math.Abs(r.Threshold) > 1e15:
		return fmt.Errorf("threshold must be a number of at most 15 digits")
	case r.For < 0 || r.For > MaxFor:
		return fmt.Errorf("for_seconds must be 0 to %d", int(MaxFor.Seconds()))
	case r.ResolveFor < 0 || r.ResolveFor > MaxFor:
		return fmt.Errorf("resolve_for_seconds must be 0 to %d", int(MaxFor.Seconds()))
	case r.Resolve != nil && !r.resolves():
		return fmt.Errorf("resolve_threshold must not be on the bad side of threshold")
	case m.Level == sample.Queue && r.Group != "":
		return fmt.Errorf("group_id must not be given: %s is a figure of queues", r.Metric)
	case r.Group != "" && r.Queue == "":
		return fmt.Errorf("queue_id must be given with group_id")
	case r.Severity != Critical && r.Severity != Major && r.Severity != Minor && r.Severity != Info:
		return fmt.Errorf("severity must be critical, major, minor or info")
	case len(r.Webhooks) > MaxWebhooks:
		return fmt.Errorf("webhooks must have at most %d elements", MaxWebhooks)
	}
	for i, w := range r.Webhooks {
		if err := w.validate(); err != nil {
			return fmt.Errorf("webhooks[%d].%w", i, err)
		}
	}
	return nil
}

// resolves reports whether the resolve threshold is not beyond the threshold itself.
func (r Rule) resolves() bool {
	if math.IsNaN(*r.Resolve) || math.IsInf(*r.Resolve, 0) {
		return false
	}
	if r.Comparison == Above || r.Comparison == AtLeast {
		return *r.Resolve <= r.Threshold
	}
	return *r.Resolve >= r.Threshold
}

func (w Webhook) validate() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || len(w.URL) > 2048:
		return fmt.Errorf("url must be an absolute URL of at most 2048 bytes")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("url must be https")
	case u.User != nil:
		return fmt.Errorf("url must not carry credentials")
	case u.Fragment != "":
		return fmt.Errorf("url must not have a fragment")
	case len(w.Secret) < minSecret || len(w.Secret) > maxSecret:
		return fmt.Errorf("secret must have %d to %d bytes", minSecret, maxSecret)
	}
	return nil
}

func control(r rune) bool { return r < 0x20 || r == 0x7f }

func metricIDs() (ids []string) {
	for _, m := range sample.All() {
		ids = append(ids, m.ID)
	}
	return ids
}

// bad reports whether the value is on the bad side of the threshold.
func (r Rule) bad(v float64) bool { return r.Comparison.holds(v, r.Threshold) }

// good reports whether the value lets a firing alarm resolve. Between the two thresholds
// a value is neither bad nor good, which keeps an alarm from flapping.
func (r Rule) good(v float64) bool {
	if r.Resolve == nil {
		return !r.bad(v)
	}
	switch r.Comparison {
	case Above, AtLeast:
		return v <= *r.Resolve && !r.bad(v)
	default:
		return v >= *r.Resolve && !r.bad(v)
	}
}

// Selects reports whether the rule applies to the row.
func (r Rule) Selects(k sample.Key) bool {
	m, _, ok := sample.Find(r.Metric)
	return ok && m.Level == k.Level() && (r.Queue == "" || r.Queue == k.Queue) && (r.Group == "" || r.Group == k.Group)
}
