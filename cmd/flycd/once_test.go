package main

import (
	"os/exec"
	"regexp"
	"testing"
)

func TestLocalOnceTeachesWithEachExampleThatIsBuilt(t *testing.T) {
	t.Parallel()
	for _, e := range []struct{ dir, third string }{
		{"", `(?m)^push 3  [0-9a-f]{7}  updated    hello +\S+  env.GREETING: Hello from FlyCD → Hello again; http://\S+ says "Hello again"$`},
		{"../../examples/hello", `(?m)^push 3  .* env.GREETING: Hello from FlyCD → Hello again; http://`},
		{"../../examples/monorepo", `(?m)^push 3  [0-9a-f]{7}  updated    shop-api .* env.EDITED_BY: `},
	} {
		args := []string{"local", "--once"}
		if e.dir != "" {
			args = append(args, e.dir)
		}
		out, err := exec.CommandContext(t.Context(), "flycd", args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", e.dir, err, out)
		}
		for _, want := range []string{`(?m)^push 1  [0-9a-f]{7}  created  `, `(?m)^push 2  [0-9a-f]{7}  unchanged  `, e.third} {
			if !regexp.MustCompile(want).Match(out) {
				t.Errorf("%q: no line is %s:\n%s", e.dir, want, out)
			}
		}
	}
}
