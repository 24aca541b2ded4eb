package filter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"

	"cel.dev/cel-go/cel"
)

// Message is what a search can ask of a message.
type Message struct {
	Sequence uint64
	ID       string
	Sent     time.Time
	Labels   []string
	Payload  []byte
	Reason   string // of a dead letter
}

// Filter is a search that is ready to be asked. It may be used by several goroutines.
type Filter struct {
	search dms.Search
	text   string // in lower case
	expr   cel.Program
}

const (
	// costLimit bounds the evaluation of one message. A comparison costs about 1 and
	// looking through a text a tenth of its length, so that the largest body can be
	// looked through several times.
	costLimit = 500_000
	// checkEvery is how many steps of a comprehension are taken between looks at the
	// context.
	checkEvery = 100
	// nesting bounds how deeply an expression may nest.
	nesting = 50
)

// Compile checks a search. What is wrong with it is said in a sentence for its author.
func Compile(s dms.Search) (*Filter, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	f := &Filter{search: s, text: strings.ToLower(s.Text)}
	if s.Filter == "" {
		return f, nil
	}
	env, err := cel.NewEnv(
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(nesting),
		cel.Variable("sequence", cel.IntType),
		cel.Variable("id", cel.StringType),
		cel.Variable("sent", cel.TimestampType),
		cel.Variable("labels", cel.ListType(cel.StringType)),
		cel.Variable("body", cel.DynType),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("size", cel.IntType),
		cel.Variable("reason", cel.StringType),
	)
	if err != nil {
		return nil, dms.Wrap(dms.Internal, fmt.Errorf("filter environment: %w", err))
	}
	ast, issues := env.Compile(s.Filter)
	if issues != nil && issues.Err() != nil {
		return nil, dms.Errorf(dms.BadParameters, "the filter is not understood: %s", firstLine(issues.Errors()[0].Message))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, dms.Errorf(dms.BadParameters, "the filter must be true or false, and is a value of the type %s", t)
	}
	f.expr, err = env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, dms.Errorf(dms.BadParameters, "the filter cannot be used: %s", firstLine(err.Error()))
	}
	return f, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// parts are the members of a payload.
type parts struct {
	Body       json.RawMessage            `json:"body"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// Matches reports whether the search wants the message. An expression that makes no
// sense for the message, for example because the body has no such member, does not want
// it; one that costs too much is refused like a wrong parameter.
func (f *Filter) Matches(ctx context.Context, m Message) (bool, error) {
	for _, l := range f.search.Labels {
		if !slices.Contains(m.Labels, l) {
			return false, nil
		}
	}
	if len(f.search.Attributes) == 0 && f.text == "" && f.expr == nil {
		return true, nil
	}
	var p parts
	if err := json.Unmarshal(m.Payload, &p); err != nil {
		return false, nil // stored by no send of ours
	}
	for _, a := range f.search.Attributes {
		if v, ok := p.Attributes[a.Name]; !ok || text(v) != a.Value {
			return false, nil
		}
	}
	if f.text != "" && !strings.Contains(strings.ToLower(text(p.Body)), f.text) {
		return false, nil
	}
	if f.expr == nil {
		return true, nil
	}
	return f.evaluate(ctx, m, p)
}

func (f *Filter) evaluate(ctx context.Context, m Message, p parts) (bool, error) {
	attributes := make(map[string]any, len(p.Attributes))
	for name, v := range p.Attributes {
		attributes[name] = value(v)
	}
	labels := m.Labels
	if labels == nil {
		labels = []string{}
	}
	out, _, err := f.expr.ContextEval(ctx, map[string]any{
		"sequence": int64(m.Sequence), "id": m.ID, "sent": m.Sent, "labels": labels,
		"body": value(p.Body), "attributes": attributes, "size": int64(len(m.Payload)), "reason": m.Reason,
	})
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		// The library tells the limit from other errors by its text alone.
		if strings.Contains(err.Error(), "cost limit exceeded") {
			return false, dms.Errorf(dms.BadParameters, "the filter takes too much work for message %d", m.Sequence)
		}
		return false, nil
	}
	want, ok := out.Value().(bool)
	return ok && want, nil
}

// text is a JSON value as people compare it: a string without its quotes, anything else
// as it stands.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// value decodes JSON for an expression. Whole numbers are integers there and others
// doubles; a number that is neither stays a text.
func value(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return plain(v)
}

func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
