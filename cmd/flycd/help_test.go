package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gigurra/flycd/shared/settings"
)

func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	c := &cli{streams: streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}}
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.Hidden || !cmd.Runnable() || !cmd.HasParent() {
			return
		}
		seen++
		if cmd.Short == "" || !strings.Contains(cmd.Example, "flycd") {
			t.Errorf("%s: its help lacks a short text or an example", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: flag --%s is not explained", cmd.CommandPath(), f.Name)
			}
		})
	}
	walk(c.root())
	const least = 20
	if seen < least {
		t.Errorf("only %d commands were seen", seen)
	}
}

func TestEverySettingIsExplained(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	settings.Help[config](&b)
	for line := range strings.Lines(b.String()) {
		if words := strings.Fields(line); len(words) == 1 {
			t.Errorf("%s is not explained", words[0])
		}
	}
}
