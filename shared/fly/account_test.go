package fly

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

const accountOrg = "acme"

// accountWrites are what an installation changes, each with what is there afterwards.
func accountWrites() []accountWrite {
	return []accountWrite{
		{"app", func(ctx context.Context, c *Client) error { return c.EnsureApp(ctx, testApp, accountOrg) }},
		{"secrets", func(ctx context.Context, c *Client) error {
			digests, err := c.PutSecrets(ctx, testApp, map[string]manifest.Secret{"FLYCD_NEXT_TOKEN": manifest.NewSecret("open-sesame")})
			if err == nil && digests["FLYCD_NEXT_TOKEN"] == "" {
				err = errors.New("the digest of what was set is not told")
			}
			return err
		}},
		{"redis", func(ctx context.Context, c *Client) error { return c.EnsureRedis(ctx, accountOrg, "shop-redis", "ams") }},
		{"remove redis", func(ctx context.Context, c *Client) error { return c.RemoveRedis(ctx, accountOrg, "shop-redis") }},
		{"remove app", func(ctx context.Context, c *Client) error { return c.RemoveApp(ctx, testApp) }},
	}
}

type accountWrite struct {
	name string
	do   func(ctx context.Context, c *Client) error
}

// held is what the simulated organisation holds, in words.
func (w *world) held(t *testing.T) string {
	t.Helper()
	c := w.client(t)
	w.road.breaks()
	apps, err := c.AppsOf(t.Context(), accountOrg)
	if err != nil {
		t.Fatal(err)
	}
	var secrets map[string]string
	if slices.Contains(apps, testApp) {
		if secrets, err = c.SecretNames(t.Context(), testApp); err != nil {
			t.Fatal(err)
		}
	}
	_, redis, err := c.serviceList(t.Context(), accountOrg, redisType)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("apps %v, secrets %d, redis %d", apps, len(secrets), len(redis))
}

func TestEachChangeOfAnAccountIsMadeOnceWhateverFails(t *testing.T) {
	want := []string{
		"apps [shop], secrets 0, redis 0", "apps [shop], secrets 1, redis 0", "apps [shop], secrets 1, redis 1",
		"apps [shop], secrets 1, redis 0", "apps [], secrets 0, redis 0",
	}
	for _, f := range []fault{{status: 500}, {status: 500, after: true}, {status: 503, after: true}, {after: true}, {status: 429}} {
		t.Run(fmt.Sprintf("%d after=%t", f.status, f.after), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flysim.Options{Orgs: []string{accountOrg}})
			for i, write := range accountWrites() {
				broken := f
				broken.method, broken.path, broken.nth = http.MethodPost, "/secrets$|/graphql$|/apps$", 1
				if write.name == "remove app" {
					broken.method, broken.path = http.MethodDelete, "/apps/shop$"
				}
				if strings.HasSuffix(write.name, "redis") {
					broken.path, broken.says = "/graphql$", "mutation"
				}
				w.road.breaks(&broken)
				if err := write.do(t.Context(), w.client(t)); err != nil {
					t.Fatalf("%s: %v", write.name, err)
				}
				if broken.seen == 0 {
					t.Errorf("%s: the fault met no request", write.name)
				}
				w.road.breaks()
				if err := write.do(t.Context(), w.client(t)); err != nil {
					t.Fatalf("%s again: %v", write.name, err)
				}
				if got := w.held(t); got != want[i] {
					t.Errorf("after %s: %s, want %s", write.name, got, want[i])
				}
			}
		})
	}
}

func TestRedisTellsItsPrivateAddressOnceItIsThere(t *testing.T) {
	w := newWorld(t, flysim.Options{Orgs: []string{accountOrg}})
	c := w.client(t)
	if _, found, err := c.RedisURL(t.Context(), accountOrg, "queue"); err != nil || found {
		t.Errorf("before: found %t, %v", found, err)
	}
	if err := c.EnsureRedis(t.Context(), accountOrg, "queue", ""); err != nil {
		t.Fatal(err)
	}
	url, found, err := c.RedisURL(t.Context(), accountOrg, "queue")
	if err != nil || !found || !strings.HasPrefix(url.Reveal(), "redis://default:") {
		t.Errorf("after: found %t, an address %t, %v", found, !url.IsZero(), err)
	}
}

func TestTokensAreMintedForWhatTheyAreForAndEndWhenRevoked(t *testing.T) {
	w := newWorld(t, flysim.Options{Orgs: []string{accountOrg}})
	c := w.client(t)
	if err := c.EnsureApp(t.Context(), testApp, accountOrg); err != nil {
		t.Fatal(err)
	}
	for _, scope := range []TokenScope{{Org: accountOrg, App: testApp}, {Org: accountOrg}} {
		text, made, err := c.MintToken(t.Context(), NewToken{TokenScope: scope, Name: "flycd", Lasts: 48 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(made.Expires); left < 47*time.Hour || left > 48*time.Hour {
			t.Errorf("the token for %s lasts %s", scope, left)
		}
		holder := w.client(t, func(o *Options) { o.Token = text.Reveal() })
		if err := holder.EnsureApp(t.Context(), "other"+scope.App, accountOrg); (err == nil) != (scope.App == "") {
			t.Errorf("the token for %s makes another app: %v", scope, err)
		}
		if _, found, err := holder.App(t.Context(), testApp); !found || err != nil {
			t.Errorf("the token for %s sees the app: %t, %v", scope, found, err)
		}
		list, err := c.Tokens(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		mine := slices.DeleteFunc(list, func(i TokenInfo) bool { return i.ID != made.ID })
		if len(mine) != 1 || mine[0].Name != "flycd" {
			t.Errorf("tokens of %s: %v", scope, mine)
		}
		for _, info := range mine {
			if err := errors.Join(c.RevokeToken(t.Context(), info), c.RevokeToken(t.Context(), info)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := holder.App(t.Context(), testApp); !errors.Is(err, ErrRefused) {
			t.Errorf("the revoked token for %s: %v", scope, err)
		}
		if list, err := c.Tokens(t.Context(), scope); err != nil || len(list) != 0 {
			t.Errorf("tokens of %s after revoking: %v, %v", scope, list, err)
		}
	}
}

func TestWhatIsSomebodyElsesIsRefusedWithASentence(t *testing.T) {
	w := newWorld(t, flysim.Options{Orgs: []string{accountOrg, "rival"}, Foreign: []string{"taken"}})
	c := w.client(t)
	if err := c.EnsureApp(t.Context(), testApp, "rival"); err != nil {
		t.Fatal(err)
	}
	_, _, seen := c.App(t.Context(), "taken")
	_, nobody := c.Org(t.Context(), "nobody")
	for name, err := range map[string]error{
		"name": c.EnsureApp(t.Context(), "taken", accountOrg), "organisation": c.EnsureApp(t.Context(), testApp, accountOrg),
		"app": seen, "nobody": nobody, "spelling": c.EnsureApp(t.Context(), "No Such", accountOrg),
	} {
		if !errors.Is(err, job.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := w.client(t, func(o *Options) { o.Token = "fo1_nobody-knows-this-one" })
	if _, err := stranger.Orgs(t.Context()); !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "nobody-knows") {
		t.Errorf("a strange token: %v", err)
	}
	orgs, err := c.Orgs(t.Context())
	if err != nil || len(orgs) != 2 || orgs[0].Slug != accountOrg {
		t.Errorf("organisations: %v, %v", orgs, err)
	}
}

func TestRemovedAppTakesTheMachinesOfOthersAlong(t *testing.T) {
	w := deployed(t, flysim.Options{})
	c := w.client(t)
	if err := c.RemoveApp(t.Context(), testApp); err != nil {
		t.Fatal(err)
	}
	if o, err := c.Observe(t.Context(), testApp, plan.Scope{}); err != nil || o.Exists {
		t.Errorf("the app is there: %t, %v", o.Exists, err)
	}
}
