package claims

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"dms/tenancy"
)

const (
	maxExpression = 8 << 10 // characters of one expression
	// maxCost bounds one evaluation, in CEL's units of cost, each some ten nanoseconds.
	// Reading the 300 groups that fit into a token costs about a quarter of it.
	maxCost = 100_000
	// maxSize bounds the values that an evaluation makes, in elements and characters.
	maxSize = 1 << 20
)

// newEnv makes the language: CEL's standard functions; its extensions for texts, lists,
// regular expressions, optional values and comprehensions over two variables; and
// projectID, which makes a project id of any text.
func newEnv() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Function("projectID", cel.Overload("projectID_string", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(projectID))),
		cel.OptionalTypes(),
		// Versions are fixed so that an update of the library does not change what an
		// operator's expression means.
		ext.Strings(ext.StringsVersion(4)),
		ext.Lists(ext.ListsVersion(3)),
		ext.Bindings(ext.BindingsVersion(1)),
		ext.Regex(ext.RegexVersion(0)),
		ext.TwoVarComprehensions(ext.TwoVarComprehensionsVersion(0)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ExpressionNodeLimit(maxExpression),
	)
}

// projectID makes a project id of a text: the first 32 hexadecimal digits of its
// SHA-256. It is for providers whose names of projects are not ours. The text should
// begin with something that is the provider's own, so that no other makes the same id.
func projectID(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(ProjectID(string(s)))
}

// ProjectID is the function projectID of the expressions.
func ProjectID(text string) tenancy.ProjectID {
	sum := sha256.Sum256([]byte(text))
	return tenancy.ProjectID(hex.EncodeToString(sum[:16]))
}

// expression is one compiled expression.
type expression struct {
	field   string
	ast     *cel.Ast
	program cel.Program
}

func compile(env *cel.Env, field, text string, yields func(*cel.Type) string) (*expression, error) {
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		var errs []error
		for _, e := range issues.Errors() {
			errs = append(errs, fmt.Errorf("%s: line %d, column %d: %s", field, e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return nil, errors.Join(errs...)
	}
	if want := yields(ast.OutputType()); want != "" {
		return nil, fmt.Errorf("%s: line 1, column 1: results in %s, want %s", field, ast.OutputType(), want)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.MemoryLimit(maxSize), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return &expression{field, ast, program}, nil
}

// evaluate returns the value of the expression. An error says where it arose, and never
// shows a claim: what CEL says about it may.
func (x *expression) evaluate(claims map[string]any) (ref.Val, error) {
	v, _, err := x.program.Eval(map[string]any{"claims": claims})
	if err == nil {
		return v, nil
	}
	if e, ok := errors.AsType[*types.Err](err); ok {
		if at := x.ast.NativeRep().SourceInfo().GetStartLocation(e.NodeID()); at.Line() > 0 {
			return nil, fmt.Errorf("%s: line %d, column %d: no value for these claims", x.field, at.Line(), at.Column()+1)
		}
		return nil, fmt.Errorf("%s: no value for these claims", x.field)
	}
	return nil, fmt.Errorf("%s: evaluation was given up", x.field)
}
