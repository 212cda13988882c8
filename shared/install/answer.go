package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// answers waits until the dispatcher answers at its address: the name of a new app takes a moment to be known everywhere.
func (in *Installer) answers(ctx context.Context, address string) error {
	var last error
	end := time.Now().Add(in.Patience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if last = in.ask(ctx, http.MethodGet, address+"/healthz", call{}); last == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the dispatcher is deployed, and does not answer at %s: %w", address, last)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// call is what a request carries.
type call struct {
	bearer manifest.Secret
	body   any
}

// ask makes one request, and gives nothing where the answer is a 2xx.
func (in *Installer) ask(ctx context.Context, method, url string, c call) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var body io.Reader = http.NoBody
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if !c.bearer.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.bearer.Reveal())
	}
	res, err := in.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // so that the connection can be used again
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// firstSync makes the first sync of a tree certain: by the ping of its new webhook, which shows at the same time that the
// two sides know one secret, or by asking the dispatcher.
func (r *run) firstSync(ctx context.Context, s Step) error {
	root, err := job.ParseConfig(s.target)
	if err != nil {
		return err
	}
	if r.plan.reaches(root.Repo) {
		return r.pinged(ctx, root.Repo)
	}
	first, _, _ := strings.Cut(r.set[secretDispatch].Reveal(), ",")
	body := map[string]string{"repo": root.Repo, "ref": root.Ref, "path": root.Path}
	for try := 1; ; try++ {
		err := r.ask(ctx, http.MethodPost, r.plan.Want.Address+"/dispatch", call{manifest.NewSecret(first), body})
		if err == nil || try == 3 {
			return err
		}
		if err := pause(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
}

// pinged waits for the ping of the repository's hook, and asks for one where none is seen.
func (r *run) pinged(ctx context.Context, repo string) error {
	address := withKey(r.plan.Want.hookAddress(), r.mem.newest().key)
	hooks, err := r.Forge.FindHooks(ctx, repo, address)
	if err != nil {
		return err
	}
	if len(hooks) == 0 {
		return errors.New("its webhook is gone: run the same command again")
	}
	seen, err := r.delivered(ctx, repo, hooks[0].ID)
	if err == nil && seen == 0 {
		var ping forge.Delivery
		ping, err = r.Forge.PingHook(ctx, repo, hooks[0].ID)
		seen = ping.Status
	}
	switch {
	case err != nil:
		return err
	case seen == http.StatusUnauthorized:
		return errors.New("the dispatcher refused the forge's ping: its secret is another one. Run the same command again")
	case seen < 200 || seen > 299:
		return fmt.Errorf("the forge's ping was answered with status %d: see that %s can be reached from the forge", seen, r.plan.Want.Address)
	}
	return nil
}

// delivered gives the status of the ping that a forge sends by itself; zero where none was seen in time.
func (r *run) delivered(ctx context.Context, repo string, hook int64) (int, error) {
	for range 10 {
		list, err := r.Forge.Deliveries(ctx, repo, hook, 20)
		if err != nil {
			return 0, err
		}
		for _, d := range list {
			if d.Event == "ping" && d.Status >= 200 && d.Status < 300 {
				return d.Status, nil
			}
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
