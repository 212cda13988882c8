package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestScripts runs the scripts in testdata/script. Each has a simulated Fly, a registry, a Git server
// and an embedded Redis of its own; their addresses are in the environment.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return surround(t, env) },
		Cmds:                scriptCommands(),
	})
}

// scriptCommands are what scripts can do beside running the program.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "mistake": mistake, "image": pushImage, "catalog": writeCatalog, "work": workOnce, "repo": makeRepo, "expand": expandFiles, "jobid": jobID, "busy": takeOne, "byhand": changeByHand, "flyctl": replayFlyctl,
		"byhandone": changeOneByHand, "deployed": deployedFrom, "secret": setSecret, "cert": addCert, "norelease": forbidReleases, "drain": drainQueue, "app": makeApp, "bare": barePath,
		"asked": registryAsked, "failing": machinesFail, "forget": forgetApp, "pushed": pushApp, "callable": beCallable,
	}
}

const worldKey = "world"

// surround gives a script its world.
func surround(t *testing.T, env *testscript.Env) error {
	t.Helper()
	w := deploytest.New(t, flysim.Options{Foreign: []string{"taken"}})
	env.Values[worldKey] = w
	home := filepath.Join(env.WorkDir, ".home")
	env.Vars = append(env.Vars,
		"HOME="+home, "FLY_CONFIG_DIR="+home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GORACE="+quickEnd,
		"FLY_API_TOKEN="+deploytest.Token, "FLY_FLAPS_BASE_URL="+w.FlyURL, "FLY_API_BASE_URL="+w.FlyURL, "FLY_UIEX_BASE_URL="+w.FlyURL, "FLYCD_SMOKE=40ms", "FLYCD_BUILDER=fact",
		"REGISTRY="+w.Registry, "FLY_REGISTRY_HOST="+w.Registry, "GIT="+w.GitURL, "SIM="+w.FlyURL, "REDIS_URL="+queuetest.Embedded(t))
	return os.Mkdir(home, 0o700)
}

func worldOf(ts *testscript.TestScript) *deploytest.World {
	return ts.Value(worldKey).(*deploytest.World)
}

// exits CODE flycd …: runs the command and holds it to its exit code. Whatever happens, what it says is
// for people.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE flycd ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	said := ts.ReadFile("stderr")
	if got != want {
		ts.Fatalf("exit code %d, want %d; it says: %s", got, want, said)
	}
	for _, noise := range []string{"panic:", "goroutine ", ".go:", "level=", "%!", "<nil>", deploytest.Token} {
		if strings.Contains(said, noise) {
			ts.Fatalf("it says %q: %s", noise, said)
		}
	}
}

// mistake CODE flycd …: as exits, and all that is said is one sentence.
func mistake(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	if said := strings.TrimSpace(ts.ReadFile("stderr")); strings.Count(said, "\n") != 0 || said == "" {
		ts.Fatalf("want one sentence, it says: %q", said)
	}
}

// image NAME:TAG pushes a new image to $REGISTRY.
func pushImage(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		worldOf(ts).Image(name)
	}
}

// repo NAME DIR makes $GIT/NAME of the files in DIR.
func makeRepo(ts *testscript.TestScript, _ bool, args []string) {
	files := map[string]string{}
	dir := ts.MkAbs(args[1])
	ts.Check(filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		name, _ := filepath.Rel(dir, p)
		files[filepath.ToSlash(name)] = string(text)
		return err
	}))
	r := worldOf(ts).Repo(args[0])
	r.Commit(files)
	ts.Setenv("REPO", r.URL)
}

// catalog APP…: puts apps into the catalog, as a sync of $CONFIG would.
func writeCatalog(ts *testscript.TestScript, _ bool, apps []string) {
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		tree := job.Config{Repo: "https://example.com/acme/config"}
		var entries []catalog.Entry
		for _, app := range apps {
			entries = append(entries, catalog.Entry{
				App: app, Org: "acme", Config: tree, Dir: app, Commit: strings.Repeat("c", 40), Digest: "d", Auto: true,
				Source: catalog.Source{Repo: "https://example.com/acme/" + app},
			})
		}
		gen, err := q.BeginGeneration(ctx, tree)
		if err != nil {
			return err
		}
		if _, err := q.WriteEntries(ctx, tree, gen, entries); err != nil {
			return err
		}
		_, err = q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Commit: strings.Repeat("c", 40), Order: job.Order{Time: 1}})
		return err
	})
}

// work OUTCOME DETAIL: does one waiting job as a runner would, and sets $JOB to its id.
func workOnce(ts *testscript.TestScript, _ bool, args []string) {
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		l, ok, err := q.Take(ctx, 10)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("nothing waits: %v", ok))
		}
		c, err := q.Claim(ctx, l.Job.ID, l.Attempt, "m1")
		if err != nil {
			return err
		}
		ts.Setenv("JOB", string(l.Job.ID))
		if err := q.Append(ctx, l.Job.ID, []string{"observe", "apply"}); err != nil {
			return err
		}
		return q.Finish(ctx, c, job.Result{
			Outcome: job.Outcome(args[0]), Detail: args[1], ConfigCommit: strings.Repeat("c", 40), Started: time.Now(), Ended: time.Now(),
			Changes: []string{"create machine web-1"},
		})
	})
}

func withScriptQueue(ts *testscript.TestScript, do func(context.Context, *queue.Queue) error) {
	q, err := queue.Open(ts.Getenv("REDIS_URL"), "")
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ts.Check(errors.Join(do(ctx, q), q.Close()))
}

// expand FILE… puts the environment into files: testscript leaves them as they are.
func expandFiles(ts *testscript.TestScript, _ bool, files []string) {
	for _, name := range files {
		text := os.Expand(ts.ReadFile(name), func(key string) string {
			if value := ts.Getenv(key); value != "" {
				return value
			}
			return "${" + key + "}"
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// jobid sets $JOB to the id of the one job in the JSON that was printed.
func jobID(ts *testscript.TestScript, _ bool, _ []string) {
	var list []queue.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(list) != 1 {
		ts.Fatalf("%d jobs, want one", len(list))
	}
	ts.Setenv("JOB", string(list[0].Job.ID))
}

// bare leaves no program on the PATH but flycd.
func barePath(ts *testscript.TestScript, _ bool, _ []string) {
	own, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	ts.Setenv("PATH", own)
}

// busy takes the one job that waits, as a dispatcher would.
func takeOne(ts *testscript.TestScript, _ bool, _ []string) {
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		_, ok, err := q.Take(ctx, 1)
		if !ok {
			return errors.Join(err, errors.New("nothing waits"))
		}
		return err
	})
}

// byhand APP changes every machine of the app, as somebody with flyctl would.
func changeByHand(ts *testscript.TestScript, _ bool, args []string) { changeSome(ts, args[0], -1) }

// byhandone APP changes one machine of the app.
func changeOneByHand(ts *testscript.TestScript, _ bool, args []string) { changeSome(ts, args[0], 1) }

func changeSome(ts *testscript.TestScript, app string, most int) {
	w := worldOf(ts)
	machines := fmt.Sprintf("%s/v1/apps/%s/machines", w.FlyURL, app)
	var list []struct {
		ID, Region string
		Config     map[string]any
	}
	ts.Check(json.Unmarshal(ask(ts, http.MethodGet, machines, nil), &list))
	for i, m := range list {
		if i == most {
			return
		}
		m.Config["env"].(map[string]any)["BYHAND"] = "yes"
		ask(ts, http.MethodPost, machines+"/"+m.ID, map[string]any{"config": m.Config, "region": m.Region})
	}
}

// ask speaks to the simulated Fly as any client does.
func ask(ts *testscript.TestScript, method, url string, in any) []byte {
	body, err := json.Marshal(in)
	ts.Check(err)
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode >= http.StatusMultipleChoices {
		ts.Fatalf("%s %s: %s: %s", method, url, res.Status, out)
	}
	return out
}
