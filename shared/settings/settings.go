package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"
)

// Read fills a T with what the environment says, as os.Environ gives it. The error names the variable, and quotes only
// what is no number and no time.
func Read[T any](environ []string) (T, error) {
	given := env.ToMap(environ)
	var cfg T
	for f := range fields(reflect.TypeFor[T]()) {
		if f.Tag.Get("file") == "" {
			continue
		}
		name, file := name(f), given[name(f)+suffix]
		if file != "" {
			text, err := os.ReadFile(file) //nolint:gosec // the file that the variable names
			if err != nil {
				return cfg, fmt.Errorf("read %s: %w", name+suffix, err)
			}
			given[name] = cmp.Or(given[name], string(text))
		}
		// what was pasted or mounted often ends with a line break
		given[name] = strings.TrimSpace(given[name])
	}
	cfg, err := env.ParseAsWithOptions[T](env.Options{Environment: given})
	if wrong := (env.ParseError{}); errors.As(err, &wrong) {
		return cfg, explain[T](wrong, given)
	}
	if err != nil {
		return cfg, fmt.Errorf("read the environment: %w", err)
	}
	return cfg, nil
}

const suffix = "_FILE"

// explain says which variable cannot be used, by its name in the environment.
func explain[T any](wrong env.ParseError, given map[string]string) error {
	for f := range fields(reflect.TypeFor[T]()) {
		if f.Name == wrong.Name {
			return fmt.Errorf("%s=%q: expected %s", name(f), given[name(f)], expected(wrong.Type))
		}
	}
	return fmt.Errorf("read the environment: %w", wrong)
}

func expected(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 10s"
	case reflect.TypeFor[time.Time]():
		return "a time such as 2026-01-31T12:00:00Z"
	case reflect.TypeFor[bool]():
		return "true or false"
	}
	return "a whole number"
}

// Help writes a line for each variable, in the order of the fields.
func Help[T any](w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for f := range fields(reflect.TypeFor[T]()) {
		text := f.Tag.Get("help")
		if d := f.Tag.Get("envDefault"); d != "" {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(tw, "  %s\t%s\n", name(f), text)
		if f.Tag.Get("file") != "" {
			fmt.Fprintf(tw, "  %s\ta file that holds %s\n", name(f)+suffix, name(f))
		}
	}
	_ = tw.Flush()
}

// List splits a setting that holds one thing or several, separated by commas or line breaks.
func List(s string) (parts []string) {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func name(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

// fields gives the fields that are settings, those of structs in their place.
func fields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) { walk(t, yield) }
}

func walk(t reflect.Type, yield func(reflect.StructField) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		switch n := name(f); {
		case n == "-" || !f.IsExported():
		case n != "":
			if !yield(f) {
				return false
			}
		case f.Type.Kind() == reflect.Struct:
			if !walk(f.Type, yield) {
				return false
			}
		}
	}
	return true
}
