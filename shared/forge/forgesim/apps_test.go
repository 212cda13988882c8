package forgesim_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

func newKey(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func appToken(t *testing.T, key *rsa.PrivateKey, issuer string, issued, lives time.Duration) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(issued)
	text, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: issuer, IssuedAt: jwt.NewNumericDate(at), Expiry: jwt.NewNumericDate(at.Add(lives))}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAppGetsTokensNarrowedToWhatItAsksFor(t *testing.T) {
	key, public := newKey(t)
	s, base := serve(t, forgesim.Options{Apps: []forgesim.App{{
		ID: 42, Slug: "flycd", PublicKey: public, Permissions: map[string]string{"contents": "read", "statuses": "write"},
		Installations: []forgesim.Installation{{ID: 7, Account: "acme", Repos: []string{"web", "api"}}},
	}}})
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	apiSHA := repoWith(t, s, "acme/api", map[string]string{"a": "1"})
	repoWith(t, s, "acme/other", map[string]string{"a": "1"})
	app := clientOf(t, base, appToken(t, key, "42", -time.Minute, 10*time.Minute))
	in, _, err := app.Apps.FindRepositoryInstallation(t.Context(), "acme", "web")
	if err != nil || in.GetID() != 7 {
		t.Fatalf("installation = %v, %v", in, err)
	}
	_, _, err = app.Apps.FindRepositoryInstallation(t.Context(), "acme", "other")
	refused(t, err, http.StatusNotFound, "")
	_, _, err = app.Apps.CreateInstallationToken(t.Context(), 7, &github.InstallationTokenOptions{Repositories: []string{"other"}})
	refused(t, err, http.StatusUnprocessableEntity, "not accessible to the parent installation")
	_, _, err = app.Apps.CreateInstallationToken(t.Context(), 7, &github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Contents: github.String("write")}})
	refused(t, err, http.StatusUnprocessableEntity, "not granted")

	token, _, err := app.Apps.CreateInstallationToken(t.Context(), 7, &github.InstallationTokenOptions{
		Repositories: []string{"web"}, Permissions: &github.InstallationPermissions{Contents: github.String("read")},
	})
	if err != nil || len(token.Repositories) != 1 || time.Until(token.GetExpiresAt().Time) < 59*time.Minute {
		t.Fatalf("token = %v, %v", token, err)
	}
	narrow := clientOf(t, base, token.GetToken())
	if _, _, err := narrow.Repositories.GetCommit(t.Context(), "acme", "web", sha, nil); err != nil {
		t.Error(err)
	}
	_, _, err = narrow.Repositories.GetCommit(t.Context(), "acme", "api", apiSHA, nil)
	refused(t, err, http.StatusNotFound, "")
	_, _, err = narrow.Repositories.CreateStatus(t.Context(), "acme", "web", sha, &github.RepoStatus{State: github.String("success")})
	refused(t, err, http.StatusForbidden, "not accessible by integration")

	wide, _, err := app.Apps.CreateInstallationToken(t.Context(), 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	mine, _, err := clientOf(t, base, wide.GetToken()).Apps.ListRepos(t.Context(), nil)
	if err != nil || mine.GetTotalCount() != 2 {
		t.Errorf("repositories = %v, %v", mine, err)
	}
	status, _, err := clientOf(t, base, wide.GetToken()).Repositories.CreateStatus(t.Context(), "acme", "api", apiSHA, &github.RepoStatus{State: github.String("success")})
	if err != nil || status.GetCreator().GetLogin() != "flycd[bot]" {
		t.Errorf("status = %v, %v", status, err)
	}
	s.Advance(61 * time.Minute)
	_, _, err = narrow.Repositories.GetCommit(t.Context(), "acme", "web", sha, nil)
	refused(t, err, http.StatusUnauthorized, "Bad credentials")
}

func TestAppsProveWhoTheyAre(t *testing.T) {
	key, public := newKey(t)
	stranger, _ := newKey(t)
	_, base := serve(t, forgesim.Options{Apps: []forgesim.App{{ID: 42, Slug: "flycd", PublicKey: public}}})
	for name, tt := range map[string]struct {
		token string
		says  string
	}{
		"another key":    {appToken(t, stranger, "42", 0, time.Minute), "could not be decoded"},
		"another app":    {appToken(t, key, "43", 0, time.Minute), "Integration not found"},
		"lives too long": {appToken(t, key, "42", 0, 20*time.Minute), "too far in the future"},
		"expired":        {appToken(t, key, "42", -time.Hour, time.Minute), "Expiration time"},
		"of tomorrow":    {appToken(t, key, "42", 5*time.Minute, 2*time.Minute), "Issued at"},
		"a person":       {admin, "could not be decoded"},
	} {
		_, _, err := clientOf(t, base, tt.token).Apps.ListInstallations(t.Context(), nil)
		t.Log(name)
		refused(t, err, http.StatusUnauthorized, tt.says)
	}
	if _, _, err := clientOf(t, base, appToken(t, key, "42", 0, time.Minute)).Apps.ListInstallations(t.Context(), nil); err != nil {
		t.Error(err)
	}
	_, _, err := clientOf(t, base, appToken(t, key, "42", 0, time.Minute)).Repositories.Get(t.Context(), "acme", "web")
	refused(t, err, http.StatusForbidden, "must authenticate")
}
