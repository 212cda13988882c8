package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// asked COUNT URI: so many requests with that in their URI went to the registry since asked reset.
func registryAsked(ts *testscript.TestScript, _ bool, args []string) {
	asked := worldOf(ts).RegistryRequests
	if len(args) == 1 && args[0] == "reset" {
		asked.Reset()
		return
	}
	if len(args) != 2 {
		ts.Fatalf("usage: asked reset, or asked COUNT URI")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := asked.Matching(func(_, uri string) bool { return strings.Contains(uri, args[1]) }); len(got) != want {
		ts.Fatalf("the registry was asked %q, want %d of %s", got, want, args[1])
	}
}

// failing APP makes every change of the app's machines fail; failing alone ends that.
func machinesFail(ts *testscript.TestScript, _ bool, apps []string) {
	faults := []any{}
	for _, app := range apps {
		faults = append(faults, map[string]any{
			"match": map[string]any{"method": http.MethodPost, "path": "/v1/apps/" + app + "/machines*", "body": `"config"`},
			"do":    map[string]any{"status": http.StatusUnprocessableEntity},
		})
	}
	ask(ts, http.MethodPut, worldOf(ts).FlyURL+"/_sim/faults", faults)
}
