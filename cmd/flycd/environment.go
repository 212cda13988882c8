package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// environmentTopic is a help topic: `flycd help environment`.
func (c *cli) environmentTopic() *cobra.Command {
	var b strings.Builder
	writeEnvironment(&b)
	return &cobra.Command{Use: "environment", Short: "The settings that the environment holds", Long: b.String()}
}

func writeEnvironment(w io.Writer) {
	fmt.Fprint(w, "FlyCD is set up by environment variables:\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for f := range fields(reflect.TypeFor[config]()) {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		text := f.Tag.Get("help")
		if d := f.Tag.Get("envDefault"); d != "" {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(tw, "  %s\t%s\n", name, text)
	}
	_ = tw.Flush()
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
