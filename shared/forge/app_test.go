package forge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
)

// as asks the forge with a token and gives the status.
func as(t *testing.T, w *world, token, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.base+path, strings.NewReader("{}"))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Broken when: a runner's token opens another repository, or does more than read.
func TestMintedTokenIsOfOneRepositoryAndOnePurpose(t *testing.T) {
	w := newWorld(t)
	_, other := w.newRepo(t, "acme/other")
	c := w.app()
	read, err := c.Mint(t.Context(), w.repo, forge.ForReading)
	must(t, err)
	report, err := c.Mint(t.Context(), w.repo, forge.ForReports)
	must(t, err)
	for _, law := range []struct {
		name, token, method, path string
		want                      int
	}{
		{"reads its repository", read.Value, http.MethodGet, "/repos/acme/web/commits", http.StatusOK},
		{"reads another one", read.Value, http.MethodGet, "/repos/acme/other/commits", http.StatusNotFound},
		{"sets a status", read.Value, http.MethodPost, "/repos/acme/web/statuses/" + w.commit, http.StatusForbidden},
		{"lists webhooks", read.Value, http.MethodGet, "/repos/acme/web/hooks", http.StatusForbidden},
		{"a reporter reads code", report.Value, http.MethodGet, "/repos/acme/web/commits", http.StatusForbidden},
		{"a reporter lists webhooks", report.Value, http.MethodGet, "/repos/acme/web/hooks", http.StatusForbidden},
		{"a reporter reports elsewhere", report.Value, http.MethodPost, "/repos/acme/other/statuses/" + other, http.StatusNotFound},
	} {
		if got := as(t, w, law.token, law.method, law.path); got != law.want {
			t.Errorf("%s: %d, want %d", law.name, got, law.want)
		}
	}
	if left := time.Until(read.Expires); left < 30*time.Minute || left > 61*time.Minute {
		t.Errorf("it lives for %s", left)
	}
}

// Broken when: every call mints a token of its own, or one that is about to end is handed out.
func TestMintedTokenIsUsedAgainWhileItIsGood(t *testing.T) {
	w := newWorld(t)
	c := w.app()
	now := time.Now()
	c.Now = func() time.Time { return now }
	var seen []string
	for _, after := range []time.Duration{0, 50 * time.Minute, 6 * time.Minute} {
		now = now.Add(after)
		w.sim.Advance(after)
		token, err := c.Mint(t.Context(), w.repo, forge.ForReading)
		must(t, err)
		if token.Expires.Sub(now) < 4*time.Minute {
			t.Errorf("it ends in %s", token.Expires.Sub(now))
		}
		seen = append(seen, token.Value)
	}
	if seen[0] != seen[1] || seen[1] == seen[2] {
		t.Errorf("the tokens are %q", seen)
	}
}

// Broken when: it is not told apart where an app cannot act, and what a person can do about it.
func TestAppThatCannotActSaysWhy(t *testing.T) {
	w := newWorld(t)
	narrow, commit := w.newRepo(t, "narrow/web")
	asleep, _ := w.newRepo(t, "asleep/web")
	elsewhere, _ := w.newRepo(t, "elsewhere/web")
	for repo, want := range map[string]string{narrow: "was not given contents", asleep: "suspended", elsewhere: "is not installed"} {
		_, err := w.app().Mint(t.Context(), repo, forge.ForReading)
		if !errors.Is(err, forge.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", repo, err, want)
		}
	}
	if _, err := w.client(botToken).Mint(t.Context(), w.repo, forge.ForReading); !errors.Is(err, job.ErrRejected) {
		t.Errorf("without an app: %v", err)
	}
	// who may set statuses and nothing else sets statuses
	must(t, w.app().Status(t.Context(), narrow, commit, forge.Status{Context: "flycd/web", State: "success", Description: "fine"}))
	wrong := &forge.Client{BaseURL: w.base, App: &forge.App{ID: "8", Key: w.key}}
	if _, err := wrong.Mint(t.Context(), w.repo, forge.ForReading); !errors.Is(err, forge.ErrDenied) {
		t.Errorf("another app's key: %v", err)
	}
}

// Broken when: an app's webhooks need more than the app.
func TestAppSetsWebhooksUp(t *testing.T) {
	w := newWorld(t)
	hook := forge.Hook{URL: receiver(t), Secret: "s1"}
	s, err := w.app().EnsureHook(t.Context(), w.repo, hook)
	must(t, err)
	if !s.Right(hook) {
		t.Errorf("it is %+v", s)
	}
}

// Broken when: somebody who may only read starts what only writers may.
func TestOnlyWritersMayWrite(t *testing.T) {
	w := newWorld(t)
	_, err := w.sim.SetRepo(forgesim.Repo{Repo: "acme/web", Members: map[string]string{"ann": "write", "mel": "maintain", "joe": "admin", "eve": "read", "tri": "triage"}})
	must(t, err)
	for _, c := range []*forge.Client{w.client(botToken), w.app()} {
		var may []string
		for _, user := range []string{"ann", "joe", "mel", "eve", "tri", "nobody", "", "../../acme/other", "ann/permission?x=", "a b"} {
			ok, err := c.Permission(t.Context(), w.repo, user)
			must(t, err)
			if ok {
				may = append(may, user)
			}
		}
		if want := []string{"ann", "joe", "mel"}; !slices.Equal(may, want) {
			t.Errorf("%q may write, want %q", may, want)
		}
	}
}

// Broken when: a key as people paste it is not read, or is repeated in the error.
func TestAppIsReadFromItsSettings(t *testing.T) {
	w := newWorld(t)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(w.key))
	der, err := x509.MarshalPKCS8PrivateKey(w.key)
	must(t, err)
	for name, key := range map[string]string{
		"pkcs1": pkcs1, "pkcs8": block("PRIVATE KEY", der), "one line": strings.ReplaceAll(pkcs1, "\n", `\n`),
		"base64": base64.StdEncoding.EncodeToString([]byte(pkcs1)), "indented": " \n" + pkcs1 + " ",
	} {
		a, err := forge.ParseApp(" 7 ", key)
		if err != nil || a.ID != "7" || !a.Key.Equal(w.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, err := forge.ParseApp("", " "); a != nil || err != nil {
		t.Errorf("nothing is %v, %v", a, err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err = x509.MarshalPKCS8PrivateKey(ec)
	must(t, err)
	for _, bad := range [][2]string{{"7", ""}, {"", pkcs1}, {"7", "hunter2"}, {"7", pkcs1[:300]}, {"7", block("PRIVATE KEY", der)}, {"7 8", pkcs1}} {
		a, err := forge.ParseApp(bad[0], bad[1])
		if a != nil {
			t.Errorf("%q is an app", bad[0])
		}
		noSecret(t, err, "hunter2", pkcs1[40:60])
	}
}

// Broken when: a forge that sends us elsewhere, or answers with a link, gets the token shown to others.
func TestTokenIsShownToTheForgeAlone(t *testing.T) {
	var shown []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+"/x", code)
		}))
		c := &forge.Client{BaseURL: s.URL, Token: botToken}
		_, err := c.FindHooks(t.Context(), s.URL+"/acme/web", "")
		noSecret(t, err)
		err = c.Status(t.Context(), s.URL+"/acme/web", strings.Repeat("a", 40), forge.Status{Context: "x", State: "success"})
		noSecret(t, err)
		s.Close()
	}
	if len(shown) != 0 {
		t.Errorf("others were asked %d times, and shown %q", len(shown), shown)
	}
}

// Broken when: a repository that was renamed is lost.
func TestRenamedRepositoryIsFollowed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/repos/acme/old") {
			http.Redirect(w, r, "/repositories/5/hooks?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+botToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode([]map[string]any{{"id": 5, "config": map[string]any{"url": "https://x.example"}}})
	}))
	defer s.Close()
	list, err := (&forge.Client{BaseURL: s.URL, Token: botToken}).FindHooks(t.Context(), s.URL+"/acme/old", "")
	if err != nil || len(list) != 1 || list[0].ID != 5 {
		t.Errorf("it is %+v, %v", list, err)
	}
}

// Broken when: whoever logs what was minted logs the token.
func TestMintedTokenDoesNotShowItself(t *testing.T) {
	one := forge.Token{Value: "ghs_secret", Expires: time.Unix(1_800_000_000, 0)}
	inJSON, err := json.Marshal([]forge.Token{one})
	must(t, err)
	for _, text := range []string{fmt.Sprint(one), fmt.Sprintf("%+v %#v", one, &one), string(inJSON)} {
		if strings.Contains(text, "ghs_") || !strings.Contains(text, "until 2027") {
			t.Errorf("it shows itself as %s", text)
		}
	}
}
