package flysim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// execution answers one operation.
type execution struct {
	doc  *ast.QueryDocument
	vars map[string]any
	errs []graphFailure
}

type graphFailure struct {
	Message    string            `json:"message"`
	Path       []any             `json:"path,omitempty"`
	Extensions map[string]string `json:"extensions,omitempty"`
}

type graphAnswer struct {
	Data   any            `json:"data"`
	Errors []graphFailure `json:"errors,omitempty"`
}

// graphql answers a GraphQL request as the protocol says: with status 200, whatever its errors. What is
// not simulated is an error that names it; other statuses would hide the sentence from clients.
func (s *Server) graphql(c *call) answer {
	var in struct {
		Query     string          `json:"query"`
		Operation string          `json:"operationName"`
		Variables json.RawMessage `json:"variables"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	vars, err := variables(in.Variables)
	if err != nil {
		return failf(http.StatusBadRequest, "invalid variables: %v", err)
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: in.Query}, 20_000)
	if err != nil {
		return ok(graphAnswer{Errors: []graphFailure{{Message: "Parse error: " + err.Error(), Extensions: map[string]string{"code": "PARSE_ERROR"}}}})
	}
	op := doc.Operations.ForName(in.Operation)
	if op == nil {
		return ok(graphAnswer{Errors: []graphFailure{{Message: fmt.Sprintf("No operation named %q", in.Operation)}}})
	}
	if name := endless(doc); name != "" {
		return ok(graphAnswer{Errors: []graphFailure{{Message: "Fragment " + name + " contains an infinite loop"}}})
	}
	x := &execution{doc: doc, vars: vars}
	if err := x.complete(op); err != nil {
		return ok(graphAnswer{Errors: []graphFailure{failure(err, nil)}})
	}
	root := s.queries(c)
	if op.Operation == ast.Mutation {
		root = s.mutations(c)
	}
	if op.Operation == ast.Subscription {
		return ok(graphAnswer{Errors: []graphFailure{failure(notSimulated("subscriptions"), nil)}})
	}
	data := x.selection(root, op.SelectionSet, nil)
	return ok(graphAnswer{Data: data, Errors: x.errs})
}

// endless is a fragment that contains itself, if there is one.
func endless(doc *ast.QueryDocument) string {
	const entered, left = 1, 2
	seen := map[string]int{}
	var visit func(ast.SelectionSet) string
	visit = func(set ast.SelectionSet) string {
		for _, sel := range set {
			found := ""
			switch sel := sel.(type) {
			case *ast.Field:
				found = visit(sel.SelectionSet)
			case *ast.InlineFragment:
				found = visit(sel.SelectionSet)
			case *ast.FragmentSpread:
				def := doc.Fragments.ForName(sel.Name)
				if def == nil || seen[sel.Name] == left {
					continue
				}
				if seen[sel.Name] == entered {
					return sel.Name
				}
				seen[sel.Name] = entered
				found = visit(def.SelectionSet)
				seen[sel.Name] = left
			}
			if found != "" {
				return found
			}
		}
		return ""
	}
	for _, def := range doc.Operations {
		if name := visit(def.SelectionSet); name != "" {
			return name
		}
	}
	return ""
}

func variables(text json.RawMessage) (map[string]any, error) {
	vars := map[string]any{}
	if len(text) == 0 {
		return vars, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	return vars, dec.Decode(&vars)
}

// complete fills in what variables default to, and holds the rest against what the operation needs.
func (x *execution) complete(op *ast.OperationDefinition) error {
	if x.vars == nil {
		x.vars = map[string]any{}
	}
	for _, def := range op.VariableDefinitions {
		if _, given := x.vars[def.Variable]; !given && def.DefaultValue != nil {
			v, err := def.DefaultValue.Value(nil)
			if err != nil {
				return &graphError{err.Error(), "INVALID"}
			}
			x.vars[def.Variable] = v
		}
		if def.Type.NonNull && x.vars[def.Variable] == nil {
			return &graphError{fmt.Sprintf("Variable $%s of type %s was provided invalid value", def.Variable, def.Type), "INVALID_VARIABLE"}
		}
	}
	return nil
}

func failure(err error, path []any) graphFailure {
	out := graphFailure{Message: err.Error(), Path: slices.Clone(path)}
	if ge, is := err.(*graphError); is { //nolint:errorlint // resolvers return it as it is
		out.Extensions = map[string]string{"code": ge.code}
	}
	return out
}

// collected are the fields of a selection that answer under one key.
type collected struct {
	key   string
	field *ast.Field
	below ast.SelectionSet
}

// collect flattens fragments and brings fields of the same key together, in the order of the query.
func (x *execution) collect(kind string, set ast.SelectionSet, into []collected) []collected {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			if x.skipped(sel.Directives) {
				continue
			}
			at := slices.IndexFunc(into, func(c collected) bool { return c.key == sel.Alias })
			if at < 0 {
				into = append(into, collected{key: sel.Alias, field: sel})
				at = len(into) - 1
			}
			into[at].below = append(slices.Clip(into[at].below), sel.SelectionSet...)
		case *ast.InlineFragment:
			if !x.skipped(sel.Directives) && (sel.TypeCondition == "" || isA(kind, sel.TypeCondition)) {
				into = x.collect(kind, sel.SelectionSet, into)
			}
		case *ast.FragmentSpread:
			def := x.doc.Fragments.ForName(sel.Name)
			if def == nil {
				x.errs = append(x.errs, graphFailure{Message: "Fragment " + sel.Name + " was used, but not defined"})
				continue
			}
			if !x.skipped(sel.Directives) && isA(kind, def.TypeCondition) {
				into = x.collect(kind, def.SelectionSet, into)
			}
		}
	}
	return into
}

// isA tells whether a type is another, or one of the interfaces that Fly's schema has.
func isA(kind, condition string) bool {
	return kind == condition || condition == "Node" || condition == "Principal" && (kind == "User" || kind == "Macaroon")
}

func (x *execution) skipped(directives ast.DirectiveList) bool {
	for _, d := range directives {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		arg := d.Arguments.ForName("if")
		if arg == nil {
			continue
		}
		v, err := arg.Value.Value(x.vars)
		if on, _ := v.(bool); err == nil && on == (d.Name == "skip") {
			return true
		}
	}
	return false
}

// selection answers what is selected of an object.
func (x *execution) selection(o *object, set ast.SelectionSet, path []any) map[string]any {
	out := map[string]any{}
	for _, c := range x.collect(o.kind, set, nil) {
		at := append(slices.Clip(path), c.key)
		v, err := x.resolve(o, c.field)
		if err != nil {
			x.errs = append(x.errs, failure(err, at))
			out[c.key] = nil
			continue
		}
		out[c.key] = x.value(v, c, at)
	}
	return out
}

func (x *execution) resolve(o *object, f *ast.Field) (any, error) {
	if f.Name == "__typename" {
		return o.kind, nil
	}
	v, known := o.fields[f.Name]
	if !known {
		return nil, notSimulated("the field %s.%s", o.kind, f.Name)
	}
	run, is := v.(field)
	if !is {
		return v, nil
	}
	args := arguments{}
	for _, arg := range f.Arguments {
		given, err := arg.Value.Value(x.vars)
		if err != nil {
			return nil, &graphError{err.Error(), "INVALID"}
		}
		args[arg.Name] = given
	}
	return run(args)
}

// value answers what is selected of a field's value.
func (x *execution) value(v any, c collected, path []any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case *object:
		if v == nil {
			return nil
		}
		if len(c.below) == 0 {
			x.errs = append(x.errs, graphFailure{Message: "Field must have selections (field '" + c.key + "' returns " + v.kind + ")", Path: path})
			return nil
		}
		return x.selection(v, c.below, path)
	case []*object:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = x.value(item, c, append(slices.Clip(path), i))
		}
		return list
	}
	if len(c.below) > 0 {
		x.errs = append(x.errs, graphFailure{Message: "Selections can't be made on scalars (field '" + c.key + "')", Path: path})
		return nil
	}
	return v
}
