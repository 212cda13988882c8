package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/manifest"
)

// repoRow is one line of `flycd repos -o json`.
type repoRow struct {
	Repo string `json:"repo"`
	Ref  string `json:"ref"`
	By   string `json:"by"`
	Kind string `json:"kind"`
}

func (c *cli) reposCommand() *cobra.Command {
	var lenient bool
	var output string
	cmd := &cobra.Command{
		Use: "repos [PATH]", Short: "List the repositories that a tree needs", GroupID: "manifest",
		Long: "List every Git repository that the manifests at PATH (default: here) name, with the ref and who needs it:\nthe repositories that want a webhook, and that the runner must be able to read.",
		Example: `  flycd repos ./config
  flycd repos ./config -o json | jq -r '.[].repo' | sort -u`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := c.load(cmd.Context(), pathArg(args), lenient)
			if err != nil {
				return err
			}
			defer func() { _ = read.local.Close() }()
			rows := make([]repoRow, 0, len(read.Repos))
			for _, r := range read.Repos {
				kind := "app"
				if r.Project {
					kind = "project"
				}
				rows = append(rows, repoRow{r.Repo, refText(r.Ref), r.By, kind})
			}
			if output == "json" {
				return c.printJSON(rows)
			}
			tw := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
			for _, r := range rows {
				fmt.Fprintf(tw, "%s\t%s\t%s %s\n", r.Repo, r.Ref, r.Kind, r.By)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func refText(r manifest.Ref) string {
	switch {
	case r.Branch != "":
		return "branch " + r.Branch
	case r.Tag != "":
		return "tag " + r.Tag
	case r.Commit != "":
		return "commit " + r.Commit
	case r.Semver != "":
		return "semver " + strings.TrimSpace(r.Semver)
	case r.Name != "":
		return r.Name
	default:
		return "default branch"
	}
}

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of app.yaml", GroupID: "manifest",
		Long:    "Print the JSON Schema of app.yaml, for editors. Save it beside your manifests and begin an app.yaml with\n\n  # yaml-language-server: $schema=./app.schema.json",
		Example: "  flycd schema > app.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := manifest.Schema()
			if err != nil {
				return err
			}
			_, err = c.out.Write(text)
			return err
		},
	}
}
