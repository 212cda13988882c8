package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag's value that is one of a few words.
type choice struct {
	value *string
	words []string
}

func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("expected one of %s", strings.Join(c.words, ", "))
	}
	*c.value = s
	return nil
}

func (c choice) Type() string { return strings.Join(c.words, "|") }

// outputFlag adds -o; the first word is the default.
func outputFlag(cmd *cobra.Command, value *string, words ...string) {
	*value = words[0]
	cmd.Flags().VarP(choice{value, words}, "output", "o", "how to print the result")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// printJSON prints one value as indented JSON.
func (c *cli) printJSON(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// counted says how many there are of a thing.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
