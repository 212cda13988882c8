package image_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

func revealed(logins map[string]image.Login) map[string]string {
	out := map[string]string{}
	for host, l := range logins {
		out[host] = l.Username + " " + l.Password.Reveal()
	}
	return out
}

func TestLoginsAreReadInBothForms(t *testing.T) {
	auth := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for text, want := range map[string]map[string]string{
		"":                          {},
		" , \n":                     {},
		"ghcr.io=octocat:ghp_abc12": {"ghcr.io": "octocat ghp_abc12"},
		"ghcr.io=a:b:c=d, docker.io=me:p\nlocalhost:5000=u:x": {"ghcr.io": "a b:c=d", "index.docker.io": "me p", "localhost:5000": "u x"},
		"https://GHCR.io/=a:b":                                {"ghcr.io": "a b"},
		"eu-docker.pkg.dev=_json_key_base64:e30=":             {"eu-docker.pkg.dev": "_json_key_base64 e30="},
		"a.azurecr.io=00000000-0000-0000-0000-000000000000:t": {"a.azurecr.io": "00000000-0000-0000-0000-000000000000 t"},
		`{}`: {},
		`{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth("me:p,q") + `"},"gcr.io":{"username":"_json_key","password":"{\"a\":1}"}}}`: {
			"index.docker.io": "me p,q", "gcr.io": `_json_key {"a":1}`,
		},
		`{"auths":{"a.azurecr.io":{"auth":"` + auth("00000000-0000-0000-0000-000000000000:") + `","identitytoken":"tok"}}}`: {
			"a.azurecr.io": "00000000-0000-0000-0000-000000000000 tok",
		},
	} {
		got, err := image.ParseLogins(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, revealed(got)); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestUnreadableLoginsAreRejectedWithoutTheirPasswords(t *testing.T) {
	for text, says := range map[string]string{
		"ghcr.io=me:fine,ghcr.io:me:s3cret":                                     "registry login 2",
		"ghcr.io=s3cret":                                                        "HOST=USER:PASSWORD",
		"ghcr.io=:s3cret":                                                       "HOST=USER:PASSWORD",
		"ghcr=me:s3cret":                                                        "HOST=USER:PASSWORD",
		"ghcr.io=me:pass,s3cret":                                                "a password with a comma",
		`{"auths":{"ghcr.io":{"auth":"s3cret!"}}}`:                              "ghcr.io: auth is no base64",
		`{"auths":{"ghcr.io":{"password":"s3cret"}}}`:                           "ghcr.io: there is no user and password",
		`{"auths":{"s3cret":{"auth":"YTpi"}}`:                                   "no config.json",
		`{"auths":{"ghcr.io":{}},"credsStore":"desktop"}`:                       "credsStore",
		`{"auths":{"ghcr.io":{"identitytoken":"s3cret","username":"<token>"}}}`: "ghcr.io",
	} {
		_, err := image.ParseLogins(text)
		imagetest.WantRejected(t, err, says)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error tells the password: %v", err)
		}
	}
}

func FuzzParseLogins(f *testing.F) {
	f.Add("ghcr.io=octocat:token,docker.io=me:p")
	f.Add(`{"auths":{"ghcr.io":{"auth":"YTpi"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		logins, err := image.ParseLogins(text)
		if err != nil {
			imagetest.WantRejected(t, err, "registry login")
		}
		for host, l := range logins {
			if host == "" || strings.ContainsAny(host, "/ ,=") || l.Username == "" || l.Password.IsZero() {
				t.Errorf("%q gave %q=%q", text, host, l.Username)
			}
		}
	})
}

func TestLoginIsFoundHoweverItsHostIsSpelled(t *testing.T) {
	host, digest := startRegistry(t, "hunter2")
	for _, name := range []string{host, "http://" + host + "/v2/", strings.ToUpper(host)} {
		r := image.Registry{Logins: map[string]image.Login{name: {Username: "u", Password: manifest.NewSecret("hunter2")}}}
		got, err := r.Resolve(t.Context(), host+"/acme/web:1.0")
		if err != nil || got.Digest != digest {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

const ecr = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"

// aws is Amazon's side: a registry of theirs, which only the exchanged password opens, and the service that exchanges.
type aws struct {
	registry string
	answer   func(w http.ResponseWriter, r *http.Request)
	asked    []string
}

// RoundTrip sends what is meant for Amazon to loopback.
func (a *aws) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Host {
	case ecr:
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host = "http", a.registry
		return http.DefaultTransport.RoundTrip(req)
	case "api.ecr.eu-north-1.amazonaws.com":
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		a.asked = append(a.asked, fmt.Sprintf("%s %s %s %s %s %s", req.Method, req.URL, req.Header.Get("Content-Type"), req.Header.Get("X-Amz-Target"),
			req.Header.Get("X-Amz-Security-Token"), body))
		a.asked = append(a.asked, req.Header.Get("Authorization"))
		w := httptest.NewRecorder()
		a.answer(w, req)
		return w.Result(), nil
	}
	return nil, &url.Error{Op: "dial", URL: req.URL.String(), Err: os.ErrNotExist}
}

func TestAccessKeyOfAWSIsExchangedForAPassword(t *testing.T) {
	a := &aws{}
	var digest string
	a.registry, digest = startRegistry(t, "exchanged")
	a.answer = func(w http.ResponseWriter, _ *http.Request) {
		token := base64.StdEncoding.EncodeToString([]byte("AWS:exchanged"))
		_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{"authorizationToken": token, "expiresAt": 1.7e9}}})
	}
	resolve := func(user, password string) error {
		r := image.Registry{HTTP: a, Logins: map[string]image.Login{ecr: {Username: user, Password: manifest.NewSecret(password)}}}
		got, err := r.Resolve(t.Context(), ecr+"/acme/web:1.0")
		if err == nil && got.Digest != digest {
			t.Errorf("got %+v", got)
		}
		return err
	}
	if err := resolve("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG:session=="); err != nil {
		t.Fatal(err)
	}
	want := "POST https://api.ecr.eu-north-1.amazonaws.com/ application/x-amz-json-1.1 AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken session== {}"
	if len(a.asked) != 2 || a.asked[0] != want || !strings.Contains(a.asked[1], "/eu-north-1/ecr/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,") {
		t.Errorf("asked %q", a.asked)
	}
	// a password of theirs is taken as it is
	a.asked = nil
	if err := resolve("AWS", "exchanged"); err != nil || len(a.asked) != 0 {
		t.Errorf("error = %v, asked %q", err, a.asked)
	}

	a.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token s3cret is invalid."}`)
	}
	err := resolve("AKIDEXAMPLE", "s3cret")
	imagetest.WantRejected(t, err, "denies the access key that opens the registry (UnrecognizedClientException)")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error tells the secret: %v", err)
	}
	for what, answer := range map[string]string{
		"400 ThrottlingException": `{"__type":"ThrottlingException"}`, "503 ": "busy", "200 ": "{}",
	} {
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			status := 0
			_, _ = fmt.Sscan(what, &status)
			w.WriteHeader(status)
			fmt.Fprint(w, answer)
		}
		imagetest.WantRetry(t, resolve("AKIDEXAMPLE", "s3cret"), "answered "+what)
	}
}
