package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

const (
	// grantPatience is how long Ask tries at most: a dispatcher that sleeps is awake in seconds.
	grantPatience = 2 * time.Minute
	// grantTry bounds one try.
	grantTry = 20 * time.Second
	// maxGrant bounds the answer.
	maxGrant = 1 << 20
)

// ErrRefused marks a grant that the dispatcher refuses to this machine: the job is not, or no longer, its to do.
var ErrRefused = errors.New("grant refused")

// Grant is all that a runner may use for its job beside what it was launched with. All of it is secret; it
// does not show itself when it is printed or logged, only as JSON.
type Grant struct {
	// FlyToken is narrowed to the job; empty where the job needs nothing of Fly's.
	FlyToken string `json:"fly_token,omitempty"`
	// Git opens the job's repositories.
	Git []GitCredential `json:"git,omitempty"`
	// Expires is when the first of it ends.
	Expires time.Time `json:"expires,omitzero"`
}

// GitCredential opens one repository over https.
type GitCredential struct {
	// Repo is the repository's clone URL.
	Repo     string `json:"repo"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// String hides what is secret.
func (g Grant) String() string { return fmt.Sprintf("grant until %s", g.Expires.Format(time.RFC3339)) }

// GoString hides what is secret.
func (g Grant) GoString() string { return g.String() }

// LogValue hides what is secret.
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }

// String hides what is secret.
func (c GitCredential) String() string { return "credential for " + job.RepoKey(c.Repo) }

// GoString hides what is secret.
func (c GitCredential) GoString() string { return c.String() }

// LogValue hides what is secret.
func (c GitCredential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// GrantRequest is how a runner asks for its grant.
type GrantRequest struct {
	Asking
	// URL is FLYCD_GRANT_URL: https, or plain http on this host or within Fly's private network (.internal).
	URL string
	// Identity is the OIDC token of the machine, where there is one.
	Identity string
	// HTTP makes the calls; nil means one that NewHTTP makes. Redirects are not followed.
	HTTP *http.Client
	// UserAgent is sent along; empty means flycd.
	UserAgent string
}

// Ask gets the runner's grant from the dispatcher, which may have to wake first. It tries again while that can
// help, until ctx ends or two minutes are over; asking again gives the same machine a grant again. An error
// that wraps ErrRefused says that the job is not this machine's to do; one that wraps job.ErrRejected, that no
// machine can do it. Neither the ticket nor what was answered is in an error.
func Ask(ctx context.Context, r GrantRequest) (Grant, error) {
	if err := privateEnough(r.URL); err != nil {
		return Grant{}, err
	}
	client := &http.Client{}
	if r.HTTP == nil {
		r.HTTP = NewHTTP()
	}
	*client = *r.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.HTTP = client
	ctx, cancel := context.WithTimeout(ctx, grantPatience)
	defer cancel()
	for try := 0; ; try++ {
		g, again, err := r.once(ctx)
		if err == nil {
			return g, nil
		}
		err = fmt.Errorf("ask for the grant of job %s: %w", r.Job, err)
		if !again || !pause(ctx, min(200*time.Millisecond<<min(try, 5), 5*time.Second)) {
			return Grant{}, err
		}
	}
}

// CheckGrantURL says what is wrong with an address that runners are to ask for grants at.
func CheckGrantURL(address string) error { return privateEnough(address) }

// privateEnough refuses addresses over which a secret would travel in the open.
func privateEnough(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("read FLYCD_GRANT_URL: expected an address such as https://HOST/grant")
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	near := host == "localhost" || ip != nil && ip.IsLoopback() || strings.HasSuffix(host, ".internal")
	if u.Scheme != "https" && (u.Scheme != "http" || !near) {
		return fmt.Errorf("read FLYCD_GRANT_URL: secrets travel to %s, so it must be https", host)
	}
	return nil
}

// once asks one time, and says whether asking again can help.
func (r GrantRequest) once(ctx context.Context) (g Grant, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, grantTry)
	defer cancel()
	body, err := json.Marshal(r.Asking)
	if err != nil {
		return g, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return g, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent(r.UserAgent))
	if r.Identity != "" {
		req.Header.Set("Authorization", "Bearer "+r.Identity)
	}
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return g, true, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxGrant+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return g, resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, notGranted(resp.StatusCode, text)
	case err != nil:
		return g, true, fmt.Errorf("read answer: %w", err)
	case len(text) > maxGrant:
		return g, false, fmt.Errorf("read answer: more than %d bytes", maxGrant)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		// the error of the decoder may quote the answer
		return Grant{}, false, errors.New("read answer: it is no grant")
	}
	return g, false, nil
}

// notGranted reads an answer other than a grant: {"error": "a sentence"}.
func notGranted(status int, body []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &said)
	if said.Error == "" {
		said.Error = http.StatusText(status)
	}
	why := strings.ToValidUTF8(said.Error[:min(len(said.Error), 1000)], "")
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusGone:
		return fmt.Errorf("%w: %s", ErrRefused, why)
	case http.StatusUnprocessableEntity:
		return job.Rejectf("%s", why)
	default:
		return fmt.Errorf("the dispatcher answered %d: %s", status, why)
	}
}
