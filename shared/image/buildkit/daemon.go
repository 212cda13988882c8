package buildkit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/job"
)

const (
	// startsWithin is far above what buildkitd takes, which is a tenth of a second.
	startsWithin = 30 * time.Second
	askAgain     = 2 * time.Millisecond
	longestDir   = 72
)

// dockerIndex is docker's own name of specs.MediaTypeImageIndex.
const dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"

// daemon is a buildkitd that answers.
type daemon struct {
	dir    string
	said   tail
	box    *sandbox.Sandbox
	client *client.Client
}

// start starts a buildkitd in a sandbox and waits until it has a worker.
func (b *Builder) start(ctx context.Context) (*daemon, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startsWithin, errors.New("buildkitd does not answer"))
	defer cancel()
	d, conf, err := b.prepare()
	if err != nil {
		return nil, err
	}
	if err := d.run(ctx, b, conf); err != nil {
		if s := d.said.String(); s != "" {
			err = fmt.Errorf("%w; it said:\n%s", err, s)
		}
		return nil, errors.Join(fmt.Errorf("start buildkitd: %w", err), d.close()) //nolint:contextcheck // it is cleared away all the more
	}
	return d, nil
}

// prepare makes the folder of a buildkitd and finds its programs.
func (b *Builder) prepare() (*daemon, *config, error) {
	runc, err := find(b.Runc, "runc")
	if err != nil {
		return nil, nil, err
	}
	parent := b.Dir
	if parent == "" {
		parent = os.TempDir()
	}
	if parent, err = filepath.Abs(parent); err != nil {
		return nil, nil, fmt.Errorf("start buildkitd: %w", err)
	}
	if len(parent) > longestDir {
		return nil, nil, fmt.Errorf("start buildkitd: the path of the folder %s is too long for the socket in it: choose one of %d characters at most", parent, longestDir)
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, nil, fmt.Errorf("start buildkitd: make its folder: %w", err)
	}
	// for its owner alone, as the socket in it gives all that buildkitd may
	dir, err := os.MkdirTemp(parent, "flycd-")
	if err != nil {
		return nil, nil, fmt.Errorf("start buildkitd: make its folder: %w", err)
	}
	return &daemon{dir: dir}, &config{dir: dir, runc: runc, insecure: b.Insecure}, nil
}

func find(program, otherwise string) (string, error) {
	if program == "" {
		program = otherwise
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", job.Rejectf("the program %s is not installed: FlyCD builds in the image of its runner (Dockerfile.runner), which has it; "+
			"or choose another builder with build.backend", program)
	}
	return filepath.Abs(found)
}

// run starts the program and waits for its answer. What its configuration says of the sandbox is known only when the
// sandbox runs: the file is a pipe, and buildkitd waits for what it says.
func (d *daemon) run(ctx context.Context, b *Builder, conf *config) error {
	program, err := find(b.Program, "buildkitd")
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, "buildkitd.toml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		return fmt.Errorf("make its configuration: %w", err)
	}
	d.box, err = sandbox.Start(ctx, sandbox.Spec{
		Dir: d.dir, Path: program, Args: []string{"--config", file},
		Env: []string{
			"PATH=" + filepath.Dir(conf.runc) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			// its own /tmp lies in Dir too, and keeps the paths of sockets short that are made below it
			"HOME=" + d.dir, "TMPDIR=/tmp",
		},
		Log: &d.said, Limits: b.Limits, Allow: b.Allow,
	})
	if err != nil {
		return err
	}
	conf.cgroup, conf.resolver = d.box.CgroupParent(), d.box.Resolver()
	if err := d.poll(ctx, func() error { return tell(file, conf.String()) }); err != nil {
		return fmt.Errorf("tell its configuration: %w", err)
	}
	if err := d.poll(ctx, func() error { return answers(ctx, conf.socket()) }); err != nil {
		return err
	}
	if d.client, err = client.New(ctx, "unix://"+conf.socket()); err != nil {
		return fmt.Errorf("call it: %w", err)
	}
	workers, err := d.client.ListWorkers(ctx)
	if err == nil && len(workers) == 0 {
		err = errors.New("it has no worker")
	}
	return err
}

// poll asks until there is an answer, or none to be expected any more.
func (d *daemon) poll(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-d.box.Done():
			return errors.Join(d.box.Err(), errGone)
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// errGone says that the buildkitd that was asked is there no more.
var errGone = errors.New("buildkitd ended")

// tell writes a pipe that somebody has opened for reading.
func tell(pipe, text string) error {
	f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // a pipe of ours
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func answers(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// built is what came of a build.
type built struct {
	digest string
	index  bool
}

// task is a request with what its Builder adds.
type task struct {
	name   string
	req    image.Request
	logins map[string]image.Login
}

// build makes an image.
func (d *daemon) build(ctx context.Context, t task, seen *progress) (built, error) {
	opt := attributes(t.name, t.req)
	sent, root, err := folders(t.req)
	if err != nil {
		return built{}, err
	}
	defer root.Close() //nolint:errcheck // only read
	opt.LocalMounts = sent
	if opt.Session, err = attachables(t.logins, t.req); err != nil {
		return built{}, err
	}
	states := make(chan *client.SolveStatus)
	var printing sync.WaitGroup
	printing.Go(func() { seen.follow(ctx, states) })
	res, err := d.client.Solve(ctx, nil, opt, states)
	printing.Wait()
	if err != nil {
		return built{}, err
	}
	return readBuilt(res.ExporterResponse)
}

// readBuilt reads what buildkitd says of the image that it made.
func readBuilt(told map[string]string) (built, error) {
	made := built{digest: told[exptypes.ExporterImageDigestKey]}
	if made.digest == "" {
		return built{}, errors.New("buildkitd told no digest")
	}
	text, err := base64.StdEncoding.DecodeString(told[exptypes.ExporterImageDescriptorKey])
	if err != nil {
		return built{}, fmt.Errorf("read what buildkitd told of the image: %w", err)
	}
	var descriptor specs.Descriptor
	if err := json.Unmarshal(text, &descriptor); err != nil {
		return built{}, fmt.Errorf("read what buildkitd told of the image: %w", err)
	}
	made.index = descriptor.MediaType == specs.MediaTypeImageIndex || descriptor.MediaType == dockerIndex
	return made, nil
}

// well reports whether builds may go on here. What ran out once is not to be told of the next build.
func (d *daemon) well() bool {
	select {
	case <-d.box.Done():
		return false
	default:
		return d.box.Err() == nil
	}
}

// close ends buildkitd and whatever it started, and removes what they wrote.
func (d *daemon) close() error {
	var errs []error
	if d.client != nil {
		errs = append(errs, d.client.Close())
	}
	if d.box != nil {
		errs = append(errs, d.box.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const longestTail = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-longestTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
