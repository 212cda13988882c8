package fly

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// secretsOf lists the app's secrets by name. Their values are never asked for.
func (c *Client) secretsOf(ctx context.Context, app string) ([]flygo.AppSecret, error) {
	var out []flygo.AppSecret
	err := c.lookList(ctx, "list secrets of "+app, func(ctx context.Context) (err error) {
		out, err = c.flaps.ListAppSecrets(ctx, app, nil, false)
		return err
	})
	slices.SortFunc(out, func(a, b flygo.AppSecret) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

func observedSecrets(list []flygo.AppSecret) []plan.Secret {
	out := make([]plan.Secret, 0, len(list))
	for _, s := range list {
		out = append(out, plan.Secret{Name: s.Name, Digest: s.Digest})
	}
	return out
}

// Provide gives the change the values of secrets that plan.SetSecrets names only. It may be called
// again; a later value counts. From then on the client takes the values out of its errors and out of
// what commands say.
func (ch *Change) Provide(values map[string]manifest.Secret) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for name, v := range values {
		if ch.values[name] != v {
			ch.secretsKey = ""
		}
		ch.values[name] = v
		ch.client.secrets.add(v.Reveal())
	}
}

// minSecrets is the version of the secrets that all later machines must have; nil where this change
// set none.
func (ch *Change) minSecrets() *uint64 {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.secretsVersion == 0 {
		return nil
	}
	v := ch.secretsVersion
	return &v
}

// setSecrets sets and removes in one call. Where its answer is lost, the version that machines must
// ask for is lost as well, and is had by removing a secret that nobody has.
func (ch *Change) setSecrets(ctx context.Context, s plan.SetSecrets) error {
	if len(s.Set)+len(s.Unset) == 0 {
		return nil
	}
	ch.secretMu.Lock()
	defer ch.secretMu.Unlock()
	e := &secretUpdate{ch: ch, want: s, key: strings.Join(s.Set, " ") + " - " + strings.Join(s.Unset, " ")}
	if ch.secretsAre(e.key) {
		return nil
	}
	if err := e.look(ctx); err != nil {
		return err
	}
	if err := ch.bring(ctx, e); err != nil {
		return err
	}
	if !e.answered {
		if err := ch.bring(ctx, &secretSync{ch: ch}); err != nil {
			return err
		}
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.secretsKey = e.key
	return nil
}

// secretsAre reports whether this change did the same already, with the same values.
func (ch *Change) secretsAre(key string) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.secretsKey == key
}

type secretUpdate struct {
	ch   *Change
	want plan.SetSecrets
	key  string
	// before is what each secret was before the first try: digest and time.
	before map[string]string
	// answered reports that Fly told the version.
	answered bool
}

func (e *secretUpdate) String() string {
	return fmt.Sprintf("set secrets %s of %s", strings.Join(slices.Concat(e.want.Set, e.want.Unset), ", "), e.ch.app)
}

func stamps(list []flygo.AppSecret) map[string]string {
	out := map[string]string{}
	for _, s := range list {
		out[s.Name] = s.Digest
		if s.UpdatedAt != nil {
			out[s.Name] += " " + *s.UpdatedAt
		}
	}
	return out
}

func (e *secretUpdate) look(ctx context.Context) error {
	list, err := e.ch.client.secretsOf(ctx, e.ch.app)
	e.before = stamps(list)
	return err
}

// seen reports whether every secret is another one than before the first try. Nothing tells whether
// it has the value already.
func (e *secretUpdate) seen(ctx context.Context, fresh bool) (bool, error) {
	if !fresh {
		return false, nil
	}
	list, err := e.ch.client.secretsOf(ctx, e.ch.app)
	if err != nil {
		return false, err
	}
	now := stamps(list)
	for _, name := range e.want.Set {
		if now[name] == "" || now[name] == e.before[name] {
			return false, nil
		}
	}
	for _, name := range e.want.Unset {
		if _, there := now[name]; there {
			return false, nil
		}
	}
	return true, nil
}

func (e *secretUpdate) do(ctx context.Context) error {
	values := map[string]*string{}
	for _, name := range e.want.Unset {
		values[name] = nil
	}
	e.ch.mu.Lock()
	for _, name := range e.want.Set {
		v, ok := e.ch.values[name]
		if !ok {
			e.ch.mu.Unlock()
			return &problem{fmt.Sprintf("%s: no value was given for %s", e, name), nil}
		}
		plain := v.Reveal()
		values[name] = &plain
	}
	e.ch.mu.Unlock()
	said, err := e.ch.client.flaps.UpdateAppSecrets(ctx, e.ch.app, values)
	if err != nil {
		return err
	}
	e.answered = true
	e.ch.noteSecrets(said, values)
	return nil
}

// noteSecrets keeps the version and the digests of what was just set: the list may trail behind.
func (ch *Change) noteSecrets(said *flygo.UpdateAppSecretsResp, values map[string]*string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.secretsVersion = max(ch.secretsVersion, said.Version)
	for name, v := range values {
		ch.digests[name] = ""
		for _, s := range said.Secrets {
			if s.Name == name && v != nil {
				ch.digests[name] = s.Digest
			}
		}
		if v != nil && ch.digests[name] == "" {
			delete(ch.digests, name) // the answer did not tell
		}
	}
}

// knownSecrets lays what this change set over a list of secrets.
func (ch *Change) knownSecrets(list []plan.Secret) []plan.Secret {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(list), func(s plan.Secret) bool {
		_, set := ch.digests[s.Name]
		return set
	})
	for name, digest := range ch.digests {
		if digest != "" {
			out = append(out, plan.Secret{Name: name, Digest: digest})
		}
	}
	slices.SortFunc(out, func(a, b plan.Secret) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// secretSync learns the version of the secrets: removing one that nobody has changes nothing else.
type secretSync struct {
	ch   *Change
	done bool
}

func (e *secretSync) String() string { return "learn the version of the secrets of " + e.ch.app }

func (e *secretSync) repeatable() bool { return true }

func (e *secretSync) seen(context.Context, bool) (bool, error) { return e.done, nil }

func (e *secretSync) do(ctx context.Context) error {
	nobody := "FLYCD_NOBODY_HAS_" + rand.Text()
	said, err := e.ch.client.flaps.UpdateAppSecrets(ctx, e.ch.app, map[string]*string{nobody: nil})
	if err != nil {
		return err
	}
	e.done = true
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	e.ch.secretsVersion = max(e.ch.secretsVersion, said.Version)
	return nil
}
