package source_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-github/v60/github"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

const (
	goodToken  = "ghp_goodgoodgoodgoodgood"
	otherToken = "ghp_otherotherotherother"
)

// privateForge is a forge with private repositories acme/web and acme/other, served over https and ssh.
type privateForge struct {
	*forgesim.Server
	url, host, ssh, knownHosts string
	// key opens acme/web.
	key     string
	app     *rsa.PrivateKey
	commits map[string]string
}

func newPrivateForge(t *testing.T) *privateForge {
	t.Helper()
	app, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&app.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s, err := forgesim.New(forgesim.Options{
		Tokens: map[string]forgesim.Token{goodToken: {Login: "acme", Repos: []string{"acme/web"}}, otherToken: {Login: "acme", Repos: []string{"acme/other"}}},
		Apps: []forgesim.App{{
			ID: 1, Slug: "flycd", PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
			Permissions: map[string]string{"contents": "read"}, Installations: []forgesim.Installation{{ID: 5, Account: "acme"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f := &privateForge{Server: s, app: app, commits: map[string]string{}}
	if f.url, err = s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if f.knownHosts, err = s.ListenSSH("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	signer, key := newKey(t)
	f.key = key
	for _, repo := range []string{"acme/web", "acme/other"} {
		in := forgesim.Repo{Repo: repo}
		if repo == "acme/web" {
			in.DeployKeys = []string{string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}
		}
		if _, err := s.SetRepo(in); err != nil {
			t.Fatal(err)
		}
		change, _, err := s.Commit(t.Context(), forgesim.Commit{Repo: repo, Files: map[string]string{"app/a": repo}})
		if err != nil {
			t.Fatal(err)
		}
		f.commits[repo] = change.After
	}
	f.host = strings.TrimPrefix(f.url, "http://")
	f.ssh = s.State().Repo("acme/web").SSHURL
	return f
}

// installationToken is what the dispatcher gets for a job: narrowed to a repository and to reading.
func (f *privateForge) installationToken(t *testing.T, repo string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: f.app}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: "1", IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	c, err := github.NewClient(nil).WithAuthToken(text).WithEnterpriseURLs(f.url, f.url)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := c.Apps.CreateInstallationToken(t.Context(), 5, &github.InstallationTokenOptions{
		Repositories: []string{repo}, Permissions: &github.InstallationPermissions{Contents: github.String("read")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token.GetToken()
}

func keyring(t *testing.T, tokens, keys string) *source.Keyring {
	t.Helper()
	k := &source.Keyring{}
	if err := k.AddTokens(tokens); err != nil {
		t.Fatal(err)
	}
	if err := k.AddKeys(keys); err != nil {
		t.Fatal(err)
	}
	return k
}

// opens resolves and fetches a repository, and gives what kept it from that.
func (f *privateForge) opens(t *testing.T, c *source.Client, url, repo string) error {
	t.Helper()
	at, err := c.Resolve(t.Context(), url, manifest.Ref{})
	if err != nil {
		return err
	}
	if at.Hash != f.commits[repo] {
		t.Errorf("%s is at %s, want %s", repo, at.Hash, f.commits[repo])
	}
	tree, err := c.Fetch(t.Context(), url, at, "app")
	if err != nil {
		return err
	}
	defer tree.Close() //nolint:errcheck // closed with the client
	if got := read(t, tree, "app/a"); got != repo {
		t.Errorf("app/a of %s = %q", repo, got)
	}
	return nil
}

func TestTokensOpenWhatTheyAreFor(t *testing.T) {
	f := newPrivateForge(t)
	web, other := f.url+"/acme/web.git", f.url+"/acme/other.git"
	c := client(t)
	c.Auth = keyring(t, f.host+"/acme/web="+goodToken+","+f.host+"/acme/other="+otherToken, "")
	for url, repo := range map[string]string{web: "acme/web", other: "acme/other"} {
		if err := f.opens(t, c, url, repo); err != nil {
			t.Error(err)
		}
	}
	for name, tt := range map[string]struct{ tokens, url, says string }{
		"no token":               {"", web, "needs a credential that was not given"},
		"a wrong one":            {f.host + "=ghp_wrongwrongwrongwrong", web, "needs a credential"},
		"one of another repo":    {f.host + "=" + goodToken, other, "does not exist, or the credential does not open it"},
		"one for another owner":  {f.host + "/eve=" + goodToken, web, "needs a credential that was not given"},
		"a repo that is not one": {f.host + "=" + goodToken, f.url + "/acme/none", "does not exist, or the credential does not open it"},
	} {
		c.Auth = keyring(t, tt.tokens, "")
		err := f.opens(t, c, tt.url, "")
		t.Log(name)
		wantRejected(t, err, tt.says)
		for _, token := range []string{goodToken, "wrongwrong"} {
			if strings.Contains(err.Error(), token) {
				t.Errorf("%s: the error tells the token: %v", name, err)
			}
		}
	}
}

func TestInstallationTokensOpenTheirRepositoryAlone(t *testing.T) {
	f := newPrivateForge(t)
	k := &source.Keyring{}
	web := f.url + "/acme/web.git"
	if err := k.Add(web, source.Credential{Username: "x-access-token", Password: manifest.NewSecret(f.installationToken(t, "web"))}); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	c.Auth = k
	if err := f.opens(t, c, web, "acme/web"); err != nil {
		t.Fatal(err)
	}
	wantRejected(t, f.opens(t, c, f.url+"/acme/other.git", ""), "needs a credential that was not given")
	// also where it is offered for another one
	if err := k.Add(f.url+"/acme/other.git", source.Credential{Password: manifest.NewSecret(f.installationToken(t, "web"))}); err != nil {
		t.Fatal(err)
	}
	wantRejected(t, f.opens(t, c, f.url+"/acme/other.git", ""), "does not open it")
	f.Advance(61 * time.Minute)
	wantRejected(t, f.opens(t, c, web, ""), "needs a credential")
}

func TestDeployKeyOpensItsRepositoryAtAPinnedHost(t *testing.T) {
	f := newPrivateForge(t)
	host := strings.Split(strings.TrimPrefix(f.ssh, "ssh://git@"), "/")[0]
	c := client(t)
	c.Auth, c.HostKeys = keyring(t, "", host+"/acme/web\n"+f.key), f.knownHosts
	if err := f.opens(t, c, f.ssh, "acme/web"); err != nil {
		t.Fatal(err)
	}
	other := f.State().Repo("acme/other").SSHURL
	wantRejected(t, f.opens(t, c, other, ""), "needs an ssh key")
	c.Auth = keyring(t, "", f.key)
	wantRejected(t, f.opens(t, c, other, ""), "does not exist")
	_, stranger := newKey(t)
	c.Auth = keyring(t, "", stranger)
	wantRejected(t, f.opens(t, c, f.ssh, ""), "access denied")
}

// A host that shows another key than the one that is known gets neither the key's signature nor a request.
func TestWrongHostKeyIsRefused(t *testing.T) {
	f := newPrivateForge(t)
	addr := strings.Split(strings.TrimPrefix(f.ssh, "ssh://git@"), "/")[0]
	another, _ := newKey(t)
	wrong := knownhosts.Line([]string{knownhosts.Normalize(addr)}, another.PublicKey())
	real, _, _, _, err := ssh.ParseAuthorizedKey([]byte(f.knownHosts[strings.Index(f.knownHosts, " ")+1:]))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ hosts, says string }{
		"unknown": {"", "unknown"}, "another key": {wrong, "not the one that is known"}, "revoked": {f.knownHosts + "\n@revoked " + f.knownHosts, ""},
	} {
		c := client(t)
		c.Auth, c.HostKeys = keyring(t, "", f.key), tt.hosts
		err := f.opens(t, c, f.ssh, "")
		if err == nil {
			t.Errorf("%s: it was opened", name)
			continue
		}
		if tt.says == "" {
			continue
		}
		wantRejected(t, err, tt.says)
		for _, part := range []string{ssh.FingerprintSHA256(real), "FLYCD_KNOWN_HOSTS", "publishes"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %s", name, err, part)
			}
		}
		if strings.Contains(err.Error(), "keyscan") {
			t.Errorf("%s: %v tells to trust what was not checked", name, err)
		}
	}
	if n := f.State().Requests["ssh/git-upload-pack"]; n != 0 {
		t.Errorf("%d requests were made of hosts that are not trusted", n)
	}
}

// A redirect to another host does not take the token along.
func TestTokenStaysWithItsHost(t *testing.T) {
	f := newPrivateForge(t)
	var got []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+r.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	t.Cleanup(here.Close)
	c := client(t)
	c.Auth = keyring(t, strings.TrimPrefix(here.URL, "http://")+"="+goodToken, "")
	wantRejected(t, f.opens(t, c, here.URL+"/acme/web.git", ""), "credential")
	if len(got) == 0 {
		t.Error("the redirect was not followed")
	}
	for _, header := range got {
		if header != "" {
			t.Errorf("the other host was sent %q", header)
		}
	}
}
