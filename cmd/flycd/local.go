package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/examples"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// onceWithin bounds one push of `flycd local --once`, from webhook to result.
const onceWithin = 2 * time.Minute

func (c *cli) localCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "local [DIR]", Short: "Run the whole path here, against a simulated Fly", GroupID: "run",
		Long: `Run webhook, stream, runner machine, clone, deploy and result on this machine, with nothing but this program: an
embedded Redis, a simulated Fly, and runners that are real processes. DIR (default: the hello example) becomes a
config repository; it is only read. Images are not built: the simulated registry takes a build as a fact.

With --once, three pushes show what happens: one creates, one changes nothing that matters, one updates. Without
it, FlyCD stays, watches DIR, and deploys on every save. Ctrl-C leaves nothing behind.`,
		Example: `  flycd local --once
  flycd local ./config`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 1 {
				dir = args[0]
				if info, err := os.Stat(dir); err != nil || !info.IsDir() {
					return usage(fmt.Errorf("%s is no folder: expected one with an app.yaml in it or below", dir))
				}
			}
			if once {
				return c.localOnce(cmd.Context(), dir)
			}
			return c.localStay(cmd.Context(), dir)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "make three pushes, show what became of them, and exit")
	return cmd
}

// copyTree copies DIR, or the hello example, to a folder of its own below to, so that pushes can
// change it.
func copyTree(dir, to string) (string, error) {
	var from fs.FS
	name := "hello"
	if dir == "" {
		sub, err := fs.Sub(examples.Hello, "hello")
		if err != nil {
			return "", fmt.Errorf("open the hello example: %w", err)
		}
		from = sub
	} else {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find %s: %w", dir, err)
		}
		from, name = os.DirFS(abs), filepath.Base(abs)
	}
	if err := os.CopyFS(filepath.Join(to, name), from); err != nil {
		return "", fmt.Errorf("copy %s: %w", name, err)
	}
	return filepath.Join(to, name), nil
}

// self gives the command line that runs a hidden command of this very program.
func self(args ...string) ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return append([]string{exe}, args...), nil
}

// localExec maps the runner's image, and hello's, to this program.
func localExec() (map[string][]string, error) {
	runner, err := self("runner", "--simulated")
	if err != nil {
		return nil, err
	}
	hello, err := self("hello")
	return map[string][]string{localRegistry + "/" + localRunnerApp: runner, localRegistry + "/hello": hello}, err
}

// localOnce makes three pushes to a copy of the folder and shows what became of each.
func (c *cli) localOnce(ctx context.Context, dir string) (err error) {
	top, err := os.MkdirTemp("", "flycd-tree-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(top)) }()
	work, err := copyTree(dir, top)
	if err != nil {
		return err
	}
	exec, err := localExec()
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, top, exec, c.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	fmt.Fprintln(c.out, "Redis and Fly are simulated in this process, and builds are taken as done; the rest is real.")
	show := lesson{cli: c, world: w, work: work, top: top, example: dir == "", paint: newPaint(c.out, c.cfg.NoColor)}
	return show.all(ctx)
}

// lesson is the three pushes of `flycd local --once`.
type lesson struct {
	*cli
	world     *world
	work, top string
	example   bool
	paint     paint
	width     int // of the apps' names
}

func (l *lesson) all(ctx context.Context) error {
	if err := l.step(ctx, 1, job.Created, ""); err != nil {
		return err
	}
	note := filepath.Join(l.top, "NOTES.md")
	if err := os.WriteFile(note, []byte("Nothing that an app is made of.\n"), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", note, err)
	}
	if err := l.step(ctx, 2, job.Unchanged, "a commit outside the app's folder: nothing built, nothing written to Fly"); err != nil {
		return err
	}
	if err := edit(l.work); err != nil {
		return err
	}
	if err := l.step(ctx, 3, job.Updated, ""); err != nil {
		return err
	}
	const next = "\nTry next:\n  flycd render ./fly.toml   what FlyCD understands of your own app\n  flycd plan ./fly.toml     what it would change, after `fly auth login`\n  flycd local DIR           your own folder, deployed on every save\n"
	_, err := io.WriteString(l.out, next)
	return err
}

// step commits, pushes, waits, and shows one line.
func (l *lesson) step(ctx context.Context, number int, want job.Outcome, why string) error {
	ctx, cancel := context.WithTimeout(ctx, onceWithin)
	defer cancel()
	change, err := l.world.mirror.Commit(ctx, fmt.Sprintf("push %d", number))
	if err != nil {
		return err
	}
	began, writes := time.Now(), l.world.writes.Load()
	answer, err := l.world.push(ctx, change)
	if err != nil {
		return err
	}
	ended, err := follow(ctx, l.world.queue, answer)
	if err != nil {
		return err
	}
	took := time.Since(began).Round(10 * time.Millisecond)
	for _, r := range ended {
		l.width = max(l.width, len(r.Job.App))
	}
	for _, r := range ended {
		state := l.paint.outcome(fmt.Sprintf("%-9s", r.State))
		fmt.Fprintf(l.out, "push %d  %s  %s  %-*s  %5s  %s\n", number, short(change.After), state, l.width, dash(r.Job.App), took, l.tell(ctx, r, why))
		if job.Outcome(r.State) != want {
			return fmt.Errorf("push %d was to end %s, and ended %s: %s", number, want, r.State, r.Result.Detail)
		}
	}
	if want == job.Unchanged && l.world.writes.Load() != writes {
		return fmt.Errorf("push %d changed nothing, and yet %d writes went to Fly", number, l.world.writes.Load()-writes)
	}
	return l.check(ctx, want)
}

// tell says what a person wants to know of a result.
func (l *lesson) tell(ctx context.Context, r queue.Record, why string) string {
	if why != "" {
		return why
	}
	var parts []string
	if job.Outcome(r.State) == job.Updated {
		parts = append(parts, changed(r.Result.Changes))
	}
	if at := l.world.address(r.Job.App); at != "" {
		text, err := get(ctx, at)
		if err != nil {
			text = err.Error()
		}
		parts = append(parts, fmt.Sprintf("%s says %q", at, text))
	}
	if !job.Outcome(r.State).Done() {
		parts = append(parts, r.Result.Detail)
	}
	return strings.Join(parts, "; ")
}

// changed gives what changed without saying on which machine; what changed on all of them is said once.
func changed(steps []string) string {
	var parts []string
	for _, line := range steps {
		if _, what, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "update machine ") {
			line = what
		}
		if !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// check asks the example's address, as a user of the app would.
func (l *lesson) check(ctx context.Context, outcome job.Outcome) error {
	if !l.example || outcome == job.Unchanged {
		return nil
	}
	text, err := get(ctx, l.world.address("hello"))
	if err != nil {
		return err
	}
	want := greetingBefore
	if outcome == job.Updated {
		want = greetingAfter
	}
	if text != want {
		return fmt.Errorf("the address says %q, expected %q", text, want)
	}
	return nil
}

func get(ctx context.Context, url string) (string, error) {
	if url == "" {
		return "", errors.New("no machine answers")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	defer func() { _ = res.Body.Close() }()
	const most = 200
	b, err := io.ReadAll(io.LimitReader(res.Body, most))
	return strings.TrimSpace(string(b)), err
}

// follow waits until the jobs, and those that they push, have ended. A sync that pushed jobs is told
// by them; one that pushed none, or did not end well, by itself.
func follow(ctx context.Context, q *queue.Queue, a queue.Answer) ([]queue.Record, error) {
	var ended []queue.Record
	ids := make([]job.ID, 0, len(a.Jobs))
	for _, p := range a.Jobs {
		ids = append(ids, p.ID)
	}
	for len(ids) > 0 {
		r, err := q.Job(ctx, ids[0])
		if err != nil {
			return nil, err
		}
		if !r.Over() {
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return nil, fmt.Errorf("wait for job %s, which is %s: %w", r.Job.ID, r.State, err)
			}
			continue
		}
		if len(r.Result.Jobs) == 0 || !job.Outcome(r.State).Done() {
			ended = append(ended, r)
		}
		ids = append(ids[1:], r.Result.Jobs...)
	}
	return ended, nil
}
