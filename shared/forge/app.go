package forge

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

const (
	// GitHub refuses what claims to be valid for more than ten minutes, by its own clock.
	proofTime, proofSkew = 8 * time.Minute, time.Minute
	// tokenMargin is what a token must have left to be used again.
	tokenMargin = 5 * time.Minute
	// installationTime is how long an installation is believed to be as it was.
	installationTime = 10 * time.Minute
)

// App is a GitHub App. It can act for the repositories where it is installed, by tokens that live for an hour.
type App struct {
	// ID is the app's number, or its client id.
	ID string
	// Key is its private key.
	Key *rsa.PrivateKey
}

// ParseApp reads the settings FLYCD_GITHUB_APP_ID and FLYCD_GITHUB_APP_KEY: the key is PEM as GitHub hands it out, also
// with \n written out, or in base64. Both empty is no app. The key is in no error.
func ParseApp(id, key string) (*App, error) {
	id, key = strings.TrimSpace(id), strings.TrimSpace(strings.ReplaceAll(key, `\n`, "\n"))
	switch {
	case id == "" && key == "":
		return nil, nil //nolint:nilnil // no app is no error
	case id == "" || key == "":
		return nil, errors.New("FLYCD_GITHUB_APP_ID and FLYCD_GITHUB_APP_KEY belong together")
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("FLYCD_GITHUB_APP_ID: expected the app's number or its client id")
	}
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		if text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(key), "")); err == nil {
			block, _ = pem.Decode(text)
		}
	}
	if block == nil {
		return nil, errors.New("FLYCD_GITHUB_APP_KEY: expected the private key of the GitHub App, from -----BEGIN to END-----")
	}
	if rsaKey, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return &App{ID: id, Key: rsaKey}, nil
	}
	if other, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if rsaKey, ok := other.(*rsa.PrivateKey); ok {
			return &App{ID: id, Key: rsaKey}, nil
		}
	}
	return nil, errors.New("FLYCD_GITHUB_APP_KEY: expected an RSA key, as GitHub makes them for its apps")
}

// proof signs that the bearer is the app: a JWT, which is two pieces of JSON and an RSA signature over them. No library is
// linked for that, as the dispatcher has to stay small.
func (a *App) proof(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": a.ID, "iat": now.Add(-proofSkew).Unix(), "exp": now.Add(proofTime).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("sign as GitHub App: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, a.Key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign as GitHub App: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// itself is the app as a bearer.
type itself struct{ c *Client }

func (i itself) bearer(context.Context) (string, error) { return i.c.App.proof(i.c.now()) }

// Purpose says what a token is for. A GitHub App mints one that can do nothing else.
type Purpose string

// The purposes.
const (
	// ForReading is what a runner clones with.
	ForReading Purpose = "reading"
	// ForReports is for commit statuses, deployments, comments, and looking up who may write.
	ForReports Purpose = "reports"
	// ForHooks is for webhooks.
	ForHooks Purpose = "hooks"
)

// permissions are the rights of a purpose, by GitHub's names.
func (w Purpose) permissions() map[string]string {
	switch w {
	case ForReading:
		return map[string]string{"contents": "read"}
	case ForReports:
		return map[string]string{"statuses": "write", "deployments": "write", "pull_requests": "write", "metadata": "read"}
	case ForHooks:
		return map[string]string{"repository_hooks": "write"}
	default:
		return map[string]string{"metadata": "read"}
	}
}

// Token is a token of a GitHub App's installation.
type Token struct {
	Value   string
	Expires time.Time
}

// String hides what is secret.
func (t Token) String() string { return "token until " + t.Expires.Format(time.RFC3339) }

// GoString hides what is secret.
func (t Token) GoString() string { return t.String() }

// MarshalText hides what is secret, also from a log in JSON.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// installation is where the app may act.
type installation struct {
	id int64
	// may are the rights that it was given.
	may  map[string]string
	read time.Time
}

func (in installation) door(p place, why Purpose) string {
	return fmt.Sprintf("installation %d: %s: %s", in.id, why, p)
}

// rights are those of the purpose that the installation has. What a purpose cannot do without is missed when it is used.
func (in installation) rights(why Purpose) (map[string]string, []string) {
	have, missing := map[string]string{}, []string(nil)
	for name, level := range why.permissions() {
		switch in.may[name] {
		case "write", "admin", level:
			have[name] = level
		default:
			missing = append(missing, name)
		}
	}
	return have, missing
}

// installations remembers what the forge told.
type installations struct {
	mu     sync.Mutex
	places map[string]installation
	tokens map[string]Token
}

// installation finds the one that holds a repository.
func (c *Client) installation(ctx context.Context, p place) (installation, error) {
	c.apps.mu.Lock()
	in, ok := c.apps.places[p.String()]
	c.apps.mu.Unlock()
	if ok && c.now().Sub(in.read) < installationTime {
		return in, nil
	}
	api, err := c.door("app", itself{c})
	if err != nil {
		return installation{}, err
	}
	in, err = findInstallation(ctx, api, p)
	if err != nil {
		err = c.failure(err, "find the GitHub App on %s", p)
		if status(err) == http.StatusNotFound {
			return installation{}, fmt.Errorf("%s: %w: the GitHub App is not installed on this repository", p, ErrDenied)
		}
		return installation{}, err
	}
	in.read = c.now()
	c.apps.mu.Lock()
	defer c.apps.mu.Unlock()
	if c.apps.places == nil || len(c.apps.places) > 10000 {
		c.apps.places = map[string]installation{}
	}
	c.apps.places[p.String()] = in
	return in, nil
}

// Mints reports whether the client can mint tokens.
func (c *Client) Mints() bool { return c != nil && c.App != nil }

// Mint gives a token for one repository and one purpose that has at least five minutes left: a new one, or the one that
// was minted for the same before. It wraps ErrDenied where the app is not installed or was not given the rights, and
// rejects where there is no app.
func (c *Client) Mint(ctx context.Context, repo string, why Purpose) (Token, error) {
	owner, name, ok := c.split(repo)
	if !ok || c.App == nil {
		return Token{}, job.Rejectf("%s: there is no GitHub App for it", oneLine(job.RepoKey(repo), 200))
	}
	return c.mint(ctx, place{owner: owner, name: name}, why)
}

func (c *Client) mint(ctx context.Context, p place, why Purpose) (Token, error) {
	key := string(why) + " " + p.String()
	c.apps.mu.Lock()
	t, ok := c.apps.tokens[key]
	c.apps.mu.Unlock()
	if ok && t.Expires.Sub(c.now()) > tokenMargin {
		return t, nil
	}
	in, err := c.installation(ctx, p)
	if err != nil {
		return Token{}, err
	}
	rights, missing := in.rights(why)
	if len(rights) == 0 || (why != ForReports && len(missing) > 0) {
		return Token{}, fmt.Errorf("%s: %w: the GitHub App was not given %s there", p, ErrDenied, strings.Join(missing, ", "))
	}
	api, err := c.door("app", itself{c})
	if err != nil {
		return Token{}, err
	}
	t, err = mintToken(ctx, api, in.id, want{repo: p.name, rights: rights})
	if err != nil {
		return Token{}, c.failure(err, "mint a token for %s of %s", why, p)
	}
	c.apps.mu.Lock()
	defer c.apps.mu.Unlock()
	if c.apps.tokens == nil || len(c.apps.tokens) > 10000 {
		c.apps.tokens = map[string]Token{}
	}
	c.apps.tokens[key] = t
	return t, nil
}

// minted is an installation's token as a bearer.
type minted struct {
	client *Client
	place  place
	why    Purpose
}

func (m minted) bearer(ctx context.Context) (string, error) {
	t, err := m.client.mint(ctx, m.place, m.why)
	return t.Value, err
}
