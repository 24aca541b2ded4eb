package audit

import (
	"strings"
	"time"
	"unicode/utf8"

	"dms/tenancy"
)

// Kind says what a record tells.
type Kind string

const (
	Change  Kind = "change"  // one call that changed something, or may have
	Refusal Kind = "refusal" // calls that were refused, counted
	Use     Kind = "use"     // calls that moved messages or issued tokens, counted
)

// Actor is who called, as far as the credential tells.
type Actor struct {
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	Client  string `json:"client,omitempty"`   // program that the token was issued to
	KeyID   string `json:"key_id,omitempty"`   // access key
	TokenID string `json:"token_id,omitempty"` // name of the token, never the token
}

// ActorOf returns the actor that an identity is.
func ActorOf(id tenancy.Identity) Actor {
	return Actor{
		Issuer: Clip(id.Issuer), Subject: Clip(id.Subject), Client: Clip(id.Client),
		KeyID: Clip(id.KeyID), TokenID: Clip(id.TokenID),
	}
}

// Is reports whether the actor has this name: as subject, access key or client.
func (a Actor) Is(name string) bool {
	return name != "" && (a.Subject == name || a.KeyID == name || a.Client == name)
}

// Object is what was acted on. Names and contents are left out: IDs are enough to tell.
type Object struct {
	Project tenancy.ProjectID `json:"project,omitempty"` // only where it is not the project of the trail
	Queue   string            `json:"queue,omitempty"`
	Queues  []string          `json:"queues,omitempty"` // of a change to several
	Groups  []string          `json:"groups,omitempty"`
	Alarm   string            `json:"alarm,omitempty"`
	Member  string            `json:"member,omitempty"` // of the storage cluster
	// AccessKey and Token are names, and no secrets.
	AccessKey string `json:"access_key,omitempty"`
	Token     string `json:"token,omitempty"`
}

// Count is how many calls of one sort there were. Empty fields stand for several values.
type Count struct {
	Action string            `json:"action,omitempty"`
	Actor  Actor             `json:"actor,omitzero"`  // of refusals the first of them
	Queue  string            `json:"queue,omitempty"` // whose messages were looked at
	Source string            `json:"source,omitempty"`
	Code   string            `json:"code,omitempty"`    // why they were refused
	Target tenancy.ProjectID `json:"project,omitempty"` // that the first of them was for
	Calls  int64             `json:"calls"`
}

// Record is one entry of a trail, as it is stored.
type Record struct {
	Time time.Time `json:"time"` // of the answer; of counts the end of their time. UTC
	Kind Kind      `json:"kind"`
	Node string    `json:"node"` // that made the record

	// Of a change.
	Actor     Actor  `json:"actor,omitzero"`
	Source    string `json:"source,omitempty"` // address of the client
	Action    string `json:"action,omitempty"` // operation, as the API's description names it
	Object    Object `json:"object,omitzero"`
	Status    int    `json:"status,omitempty"`     // of the answer; 5xx means that the outcome is not known
	Code      string `json:"code,omitempty"`       // published error code
	RequestID string `json:"request_id,omitempty"` // names the request in answers and logs

	// Of counts.
	Since  *time.Time `json:"since,omitempty"`
	Counts []Count    `json:"counts,omitempty"`
}

// Matches reports whether the record tells of an action by an actor. Empty means any.
func (r Record) Matches(action, actor string) bool {
	if r.Kind == Change {
		return (action == "" || r.Action == action) && (actor == "" || r.Actor.Is(actor))
	}
	for _, c := range r.Counts {
		if (action == "" || c.Action == action) && (actor == "" || c.Actor.Is(actor)) {
			return true
		}
	}
	return false
}

// maxText bounds every text of a record that a caller or an identity provider chose.
const maxText = 256

// Clip bounds a text that a caller or an identity provider chose, and makes it one that
// can be read back as it was written.
func Clip(s string) string {
	if len(s) <= maxText {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.ToValidUTF8(s[:cut], "\uFFFD")
}
