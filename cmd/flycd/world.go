package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

const (
	localRunnerApp = "flycd-runner"
	localRegistry  = "registry.fly.io"
	dueEvery       = time.Second
)

// world is production with other addresses: an embedded Redis, a simulated Fly, a Git server and
// the dispatcher, all on loopback ports of this process. Runners are processes of their own.
type world struct {
	home, secret, token, next string
	registryToken             string
	redis                     *miniredis.Miniredis
	redisURL                  string
	queue                     *queue.Queue
	fly                       *flysim.Server
	flyURL, gitURL, hookURL   string
	mirror                    *source.Mirror
	dispatcher                *dispatcher.Server
	log                       *slog.Logger

	writes  atomic.Int64
	servers []*http.Server
	work    sync.WaitGroup
	stop    context.CancelFunc
}

// config is the one config repository of the world.
func (w *world) config() job.Config { return job.Config{Repo: w.gitURL + "/config.git"} }

// newWorld builds the world around a folder that becomes the config repository. exec maps images to
// commands of this host.
func newWorld(ctx context.Context, dir string, exec map[string][]string, log *slog.Logger) (_ *world, err error) {
	home, err := os.MkdirTemp("", "flycd-local-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	w := &world{home: home, secret: rand.Text(), token: rand.Text(), next: rand.Text(), registryToken: rand.Text() + rand.Text(), log: log}
	ctx, w.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.startRedis(); err != nil {
		return nil, err
	}
	if err := w.startFly(ctx, exec); err != nil {
		return nil, err
	}
	if err := w.startGit(ctx, dir); err != nil {
		return nil, err
	}
	if err := w.startDispatcher(ctx); err != nil {
		return nil, err
	}
	return w, w.installRunner(ctx)
}

func (w *world) startRedis() (err error) {
	if w.redis, err = miniredis.Run(); err != nil {
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	w.redisURL = "redis://" + w.redis.Addr()
	w.queue, err = queue.Open(w.redisURL, "")
	return err
}

func (w *world) startFly(ctx context.Context, exec map[string][]string) error {
	w.fly = flysim.New(flysim.Options{Tokens: []string{w.token}, Exec: exec, Grace: 10 * time.Second, Path: searchPath(), Log: w.log})
	counted := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && !strings.HasPrefix(r.URL.Path, "/v1/apps/"+localRunnerApp) {
			w.writes.Add(1)
		}
		w.fly.ServeHTTP(rw, r)
	})
	var err error
	w.flyURL, err = w.serve(ctx, counted)
	return err
}

func (w *world) startGit(ctx context.Context, dir string) (err error) {
	repos := filepath.Join(w.home, "repos")
	if err := os.Mkdir(repos, 0o700); err != nil {
		return fmt.Errorf("make folder for repositories: %w", err)
	}
	if w.mirror, err = source.NewMirror(dir, filepath.Join(repos, "config.git")); err != nil {
		return err
	}
	w.gitURL, err = w.serve(ctx, &source.Server{Dir: repos})
	return err
}

func (w *world) startDispatcher(ctx context.Context) (err error) {
	w.dispatcher = &dispatcher.Server{
		Queue: w.queue, Secrets: []string{w.secret}, RegistryTokens: []string{w.registryToken}, NextToken: w.next, Roots: []job.Config{w.config()}, Log: w.log,
		Runners: &launch.Launcher{
			App: localRunnerApp, Image: localRegistry + "/" + localRunnerApp + ":local", Region: "arn", Size: "shared-cpu-1x:512MB",
			BaseURL: w.flyURL, Token: w.token, Log: w.log,
		},
	}
	if w.hookURL, err = w.serve(ctx, w.dispatcher.Public()); err != nil {
		return err
	}
	w.work.Go(func() { w.beat(ctx) })
	return nil
}

// beat runs a due pass each second: nothing sleeps here, so the clock needs nobody to wake it.
func (w *world) beat(ctx context.Context) {
	for pause(ctx, dueEvery) == nil {
		pass, cancel := context.WithTimeout(ctx, 5*time.Second)
		if _, err := w.dispatcher.Due(pass); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "due pass", "error", err.Error())
		}
		cancel()
	}
}

// installRunner does what an installation does once: the runner app, and the secrets of its
// machines.
func (w *world) installRunner(ctx context.Context) error {
	if err := w.post(ctx, "/v1/apps", map[string]any{"name": localRunnerApp, "app_name": localRunnerApp, "org_slug": "personal"}); err != nil {
		return err
	}
	return w.post(ctx, "/v1/apps/"+localRunnerApp+"/secrets", map[string]any{"values": map[string]string{
		"REDIS_URL": w.redisURL, "FLY_API_TOKEN": w.token, "FLY_FLAPS_BASE_URL": w.flyURL, "FLYCD_BUILDER": "fact",
		"FLYCD_NEXT_URL": w.hookURL + "/next", "FLYCD_NEXT_TOKEN": w.next,
	}})
}

func (w *world) post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.flyURL+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("ask the simulated Fly: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the simulated Fly: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("ask the simulated Fly for %s: it answered %s", path, res.Status)
	}
	return nil
}

// serve answers on a loopback address until Close.
func (w *world) serve(ctx context.Context, h http.Handler) (url string, err error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on a loopback port: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	w.servers = append(w.servers, server)
	w.work.Go(func() { _ = server.Serve(listener) }) // always ends with ErrServerClosed
	return "http://" + listener.Addr().String(), nil
}

// address is where a machine of the app answers on this host, empty when none does.
func (w *world) address(app string) string {
	for _, a := range w.fly.State().Apps {
		if a.Name != app {
			continue
		}
		for _, m := range a.Machines {
			if m.Address != "" && m.State == "started" {
				return "http://" + m.Address
			}
		}
	}
	return ""
}

// Close ends everything and leaves nothing behind. It may be called again.
func (w *world) Close() error {
	w.stop()
	var errs []error
	if w.dispatcher != nil {
		w.dispatcher.Stop()
	}
	if w.fly != nil {
		// First, so that runners can still give their jobs back.
		errs = append(errs, w.fly.Close())
	}
	for _, s := range w.servers {
		errs = append(errs, s.Close())
	}
	w.work.Wait()
	if w.dispatcher != nil {
		w.dispatcher.Wait()
	}
	if w.queue != nil {
		errs = append(errs, w.queue.Close())
	}
	if w.redis != nil {
		w.redis.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(w.home))...)
}
