package claims

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
)

// Expressions say what a token's claims mean. An empty one stands for its default. The
// variable claims holds all claims of the token; see newEnv for the functions.
type Expressions struct {
	// Subject is the stable name of the caller at its issuer, a text of 1 to 255 bytes.
	Subject string
	// Name is for people, a text of 0 to 255 bytes.
	Name string
	// Projects lists the projects of the caller, as a list or as a map:
	//
	//	[{"id": "<project>", "name": "<for people>", "roles": ["manager"]}, "<project>"]
	//	{"<project>": ["manager"]}
	//
	// A project that occurs twice has the roles of both.
	Projects string
	// Roles is a list of role names, for those projects that come without their own.
	Roles string
	// Rules refuse tokens that are genuine and not wanted.
	Rules []Rule
}

// Rule is a condition on the claims. A token is refused where it is not true.
type Rule struct {
	Expression string
	Message    string // for the log, when a token is refused
}

// Default returns the expressions that stand for empty ones: the claim dms_projects
// lists projects and roles.
func Default() Expressions {
	return Expressions{
		Subject:  `claims.sub`,
		Name:     `claims.?name.orValue("") != "" ? claims.name : claims.?preferred_username.orValue("")`,
		Projects: `claims.?dms_projects.orValue([])`,
		Roles:    `[]`,
	}
}

const maxRules = 64

// Mapping is a set of compiled expressions. It is safe for concurrent use.
type Mapping struct {
	subject, name, projects, roles *expression
	rules                          []rule
}

type rule struct {
	*expression
	message string
}

// Compile compiles all expressions and checks what they result in. The error names
// every expression that is wrong, and the line and column in it.
func Compile(e Expressions) (*Mapping, error) {
	if len(e.Rules) > maxRules {
		return nil, fmt.Errorf("rules: there are %d, more than %d", len(e.Rules), maxRules)
	}
	env, err := newEnv()
	if err != nil {
		return nil, fmt.Errorf("expressions: %w", err)
	}
	var errs []error
	compile := func(field, text, fallback string, yields func(*cel.Type) string) *expression {
		if text == "" {
			text = fallback
		}
		x, err := compile(env, field, text, yields)
		errs = append(errs, err)
		return x
	}
	d := Default()
	m := &Mapping{
		subject:  compile("subject", e.Subject, d.Subject, isText),
		name:     compile("name", e.Name, d.Name, isText),
		projects: compile("projects", e.Projects, d.Projects, isProjects),
		roles:    compile("roles", e.Roles, d.Roles, isTexts),
	}
	for i, r := range e.Rules {
		field := fmt.Sprintf("rules[%d]", i)
		if r.Expression == "" {
			errs = append(errs, fmt.Errorf("%s: no expression", field))
			continue
		}
		if r.Message == "" {
			r.Message = r.Expression
		}
		m.rules = append(m.rules, rule{compile(field, r.Expression, "", isBool), r.Message})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// The functions below accept the type of a result, or say what is wanted. What a claim
// is cannot be known before there is one, so that the dynamic type always passes here
// and the value is looked at again.

func isText(t *cel.Type) string {
	if dynamic(t) || t.Kind() == cel.StringKind {
		return ""
	}
	return "string"
}

func isTexts(t *cel.Type) string {
	if dynamic(t) || t.Kind() == cel.ListKind && isText(t.Parameters()[0]) == "" {
		return ""
	}
	return "list(string)"
}

// isBool takes nothing dynamic: a rule that is only sometimes a condition is a mistake.
func isBool(t *cel.Type) string {
	if t.Kind() == cel.BoolKind {
		return ""
	}
	return "bool"
}

func isProjects(t *cel.Type) string {
	switch {
	case dynamic(t):
		return ""
	case t.Kind() == cel.ListKind:
		of := t.Parameters()[0]
		if isText(of) == "" || of.Kind() == cel.MapKind && isText(of.Parameters()[0]) == "" {
			return ""
		}
	case t.Kind() == cel.MapKind:
		if isText(t.Parameters()[0]) == "" && isTexts(t.Parameters()[1]) == "" {
			return ""
		}
	}
	return "list(string), list(map(string, dyn)) or map(string, list(string))"
}

// dynamic also takes the type of the elements of an empty list, which is open.
func dynamic(t *cel.Type) bool {
	return t.Kind() == cel.DynKind || t.Kind() == cel.AnyKind || t.Kind() == cel.TypeParamKind
}
