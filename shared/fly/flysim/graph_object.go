package flysim

import (
	"encoding/json"
	"fmt"
)

// object is something that a GraphQL query selects from: its type's name and its fields. A field is
// a value, an *object, a []*object, or a field function that makes one of them of its arguments.
type object struct {
	kind   string
	fields fields
}

type fields map[string]any

// field is a field with arguments, or one that costs work.
type field func(arguments) (any, error)

// arguments are a field's arguments, variables filled in.
type arguments map[string]any

// graphError is an error as GraphQL answers it.
type graphError struct{ text, code string }

func (e *graphError) Error() string { return e.text }

func notFound(kind string) error {
	return &graphError{"Could not find " + kind, "NOT_FOUND"}
}

func invalidInput(format string, args ...any) error {
	return &graphError{fmt.Sprintf(format, args...), "UNPROCESSABLE"}
}

func notSimulated(format string, args ...any) error {
	return &graphError{"flysim does not simulate " + fmt.Sprintf(format, args...), "NOT_SIMULATED"}
}

func (a arguments) text(key string) string {
	s, _ := a[key].(string)
	return s
}

func (a arguments) number(key string) (int, bool) {
	n, is := a[key].(json.Number)
	if !is {
		i, isInt := a[key].(int64)
		return int(i), isInt
	}
	i, err := n.Int64()
	return int(i), err == nil
}

// object is an argument that is an object, such as a mutation's input.
func (a arguments) object(key string) arguments {
	m, _ := a[key].(map[string]any)
	return m
}

// texts is an argument that is a list of strings.
func (a arguments) texts(key string) []string {
	list, _ := a[key].([]any)
	out := []string{}
	for _, v := range list {
		if s, is := v.(string); is {
			out = append(out, s)
		}
	}
	return out
}

// connection is a page of objects, all of them in one, or the first ones.
func connection(kind string, nodes []*object) field {
	return func(args arguments) (any, error) {
		page := nodes
		if n, given := args.number("first"); given && n >= 0 && n < len(page) {
			page = page[:n]
		}
		if n, given := args.number("last"); given && n >= 0 && n < len(page) {
			page = page[len(page)-n:]
		}
		edges := make([]*object, len(page))
		for i, node := range page {
			edges[i] = &object{kind + "Edge", fields{"node": node, "cursor": fmt.Sprint(i)}}
		}
		return &object{kind + "Connection", fields{
			"nodes": listed(page), "edges": edges, "totalCount": len(nodes),
			"pageInfo": &object{"PageInfo", fields{"hasNextPage": len(page) < len(nodes), "hasPreviousPage": false, "endCursor": nil, "startCursor": nil}},
		}}, nil
	}
}
