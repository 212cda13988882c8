package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/manifest"
)

// keysCommand shows the reference; `flycd help keys` shows all of it.
func (c *cli) keysCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "keys [KEY…]", Short: "Explain every key of a manifest, and how it compares with flyctl", GroupID: "manifest",
		Example: "  flycd keys http_service\n  flycd keys deploy.strategy vm\n  flycd keys -o markdown > keys.md",
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := keysOf(args)
			if err != nil {
				return usage(err)
			}
			return c.printKeys(output, rows, len(args) > 0)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or markdown")
	shown := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		shown(cmd, args)
		fmt.Fprintln(c.out)
		writeKeys(c.out, manifest.Keys())
	})
	return cmd
}

func (c *cli) printKeys(output string, rows []manifest.Key, some bool) error {
	switch output {
	case "json":
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	case "markdown":
		if some {
			return usage(fmt.Errorf("-o markdown gives the whole page: leave the keys out"))
		}
		_, err := c.out.Write(manifest.KeysMarkdown())
		return err
	case "text":
		writeKeys(c.out, rows)
		return nil
	}
	return usage(fmt.Errorf("unknown output %q: expected text, json or markdown", output))
}

// keysOf gives the rows at and below the keys that a person names, written with or without brackets.
func keysOf(names []string) ([]manifest.Key, error) {
	all := manifest.Keys()
	if len(names) == 0 {
		return all, nil
	}
	var rows []manifest.Key
	for _, name := range names {
		found := false
		for _, k := range all {
			if bare, want := withoutBrackets(k.Path), withoutBrackets(name); bare == want || strings.HasPrefix(bare, want+".") {
				rows, found = append(rows, k), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no key %q: flycd help keys lists them", name)
		}
	}
	return rows, nil
}

func withoutBrackets(path string) string { return strings.ReplaceAll(path, "[]", "") }

func writeKeys(w io.Writer, rows []manifest.Key) {
	for _, k := range rows {
		like := string(k.Like)
		if k.How != "" {
			like += ": " + k.How
		}
		fmt.Fprintf(w, "%s\n    %s\n    %s\n    (%s)\n", k.Path, k.Doc, k.Value, like)
	}
}
