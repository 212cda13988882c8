package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Login opens a registry. Most take the forms of user and password that they document as they are:
//
//   - Fly (registry.fly.io): x and an API token.
//   - Docker Hub (docker.io): the user and an access token (https://docs.docker.com/security/access-tokens/).
//   - GitHub (ghcr.io): any user and a token with read:packages, and write:packages to push
//     (https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry).
//   - Google (REGION-docker.pkg.dev, gcr.io): _json_key_base64 and a service account's key in base64, _json_key and the key as it is, or
//     oauth2accesstoken and an access token, which lasts an hour (https://cloud.google.com/artifact-registry/docs/docker/authentication).
//   - Azure (NAME.azurecr.io): a repository-scoped token's name and password, a service principal's id and password, or
//     00000000-0000-0000-0000-000000000000 and a refresh token, which lasts three hours
//     (https://learn.microsoft.com/azure/container-registry/container-registry-authentication).
//   - Amazon (ACCOUNT.dkr.ecr.REGION.amazonaws.com): AWS and a password of aws ecr get-login-password, which lasts 12 hours, or an access
//     key, which Open exchanges for one: its id, and its secret (with :SESSION-TOKEN behind it where the key has one).
type Login struct {
	Username string
	Password manifest.Secret
}

// Open gives a login as the registry at host takes it. It is the login itself, but for an access key of AWS: that is exchanged for a
// password by one request to the host's region. An exchange that AWS denies wraps job.ErrRejected. It is safe to repeat.
func (l Login) Open(ctx context.Context, host string, via http.RoundTripper) (Login, error) {
	region, ok := ecrOf(host)
	if !ok || l.Username == "AWS" {
		return l, nil
	}
	return exchange(ctx, l, region, via)
}

// dockerHub is the name that go-containerregistry has for Docker Hub, and dockerHubAuth that of docker's own clients.
const (
	dockerHub     = "index.docker.io"
	dockerHubAuth = "https://index.docker.io/v1/"
)

// hostOf gives a registry's host in one spelling.
func hostOf(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name, _, _ = strings.Cut(name, "/")
	switch name {
	case "docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return name
}

// loginFor finds a host's login, however the host is spelled.
func loginFor(logins map[string]Login, host string) (Login, bool) {
	if l, ok := logins[host]; ok {
		return l, true
	}
	for name, l := range logins {
		if hostOf(name) == host {
			return l, true
		}
	}
	return Login{}, false
}

// ParseLogins reads the logins of registries, by host: HOST=USER:PASSWORD with commas or line ends between them, or the
// config.json of docker (auths, each with auth, or username and password). No text is no login. Every host stands in the
// one spelling that Registry looks for. What cannot be read wraps job.ErrRejected; the error never tells a
// password. A password with a comma is for the second form.
func ParseLogins(text string) (map[string]Login, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") {
		return parseDockerConfig(text)
	}
	out := map[string]Login{}
	number := 0
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		number++
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		host, login, ok := strings.Cut(part, "=")
		user, password, both := strings.Cut(login, ":")
		// the part is not repeated: it may be half of a password
		if !ok || !both || user == "" || password == "" || !isHost(hostOf(host)) {
			return nil, job.Rejectf("registry login %d is no HOST=USER:PASSWORD, such as ghcr.io=octocat:TOKEN; a password with a comma is written "+
				"in docker's form instead: {\"auths\":{\"HOST\":{\"username\":…,\"password\":…}}}", number)
		}
		out[hostOf(host)] = Login{Username: user, Password: manifest.NewSecret(password)}
	}
	return out, nil
}

// isHost tells what may be a registry's host: a name with a dot or a port, or localhost.
func isHost(s string) bool {
	return s != "" && (strings.ContainsAny(s, ".:") || s == "localhost") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == ""
}

func parseDockerConfig(text string) (map[string]Login, error) {
	var config struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken string
		}
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return nil, job.Rejectf("registry logins are no config.json of docker: expected {\"auths\":{\"HOST\":{\"auth\":\"BASE64 OF USER:PASSWORD\"}}}")
	}
	out := map[string]Login{}
	for name, entry := range config.Auths {
		host, user, password := hostOf(name), entry.Username, entry.Password
		if !isHost(host) {
			return nil, job.Rejectf("registry logins: %q under auths is no host of a registry", name)
		}
		if entry.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil {
				return nil, job.Rejectf("registry login of %s: auth is no base64 of USER:PASSWORD", host)
			}
			user, password, _ = strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
		}
		if entry.IdentityToken != "" && strings.HasSuffix(host, ".azurecr.io") {
			user, password = "00000000-0000-0000-0000-000000000000", entry.IdentityToken
		}
		if user == "" || password == "" {
			return nil, job.Rejectf("registry login of %s: there is no user and password: docker keeps them elsewhere (credsStore, credHelpers); "+
				"write them as HOST=USER:PASSWORD", host)
		}
		out[host] = Login{Username: user, Password: manifest.NewSecret(password)}
	}
	return out, nil
}
