package forge

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// Headers of a notice that is JSON.
const (
	// SignatureHeader is "sha256=" and the HMAC of the body under the destination's secret, in hex.
	SignatureHeader = "X-FlyCD-Signature-256"
	// DeliveryHeader is the notice's id: one that comes again has the id that it had.
	DeliveryHeader = "X-FlyCD-Delivery"
)

// Notice tells people, or their programs, what became of a job. It is the JSON that a destination gets.
type Notice struct {
	// ID tells it from every other one; one that is sent again keeps it.
	ID string `json:"id"`
	// Kind is deploy, sync or destroy; App is empty for a sync, Tree the config tree's name.
	Job  job.ID   `json:"job"`
	Kind job.Kind `json:"kind"`
	App  string   `json:"app,omitempty"`
	Org  string   `json:"org,omitempty"`
	Tree string   `json:"tree,omitempty"`
	// Outcome is how it ended, and Detail says why.
	Outcome job.Outcome `json:"outcome"`
	Detail  string      `json:"detail,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	Actor   string      `json:"actor,omitempty"`
	// The commits and the release that the job was about, as far as they are known.
	ConfigCommit string `json:"config_commit,omitempty"`
	SourceCommit string `json:"source_commit,omitempty"`
	Image        string `json:"image,omitempty"`
	Release      int    `json:"release,omitempty"`
	// URL is where the app answers, Link where more is told of the job.
	URL   string    `json:"url,omitempty"`
	Link  string    `json:"link,omitempty"`
	Ended time.Time `json:"ended,omitzero"`
}

// post sends a notice. Its errors say neither the address nor what the other side answered, which may repeat it.
func (d Destination) post(ctx context.Context, client *http.Client, n Notice) error {
	var payload any = n
	if d.Slack {
		payload = slackMessage(n)
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return job.Reject(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		return &Failure{Op: "send notice", Why: "its address is none", cause: job.ErrRejected}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "flycd")
	req.Header.Set(DeliveryHeader, n.ID)
	if d.Secret != "" {
		mac := hmac.New(sha256.New, []byte(d.Secret))
		mac.Write(body)
		req.Header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := client.Do(req)
	if err != nil {
		return &Failure{Op: "send notice", Why: trouble(err), cause: cancelled(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return answered(resp)
}

func answered(resp *http.Response) error {
	f := &Failure{Op: "send notice", Status: resp.StatusCode, Why: http.StatusText(resp.StatusCode), After: retryAfter(resp.Header, time.Now())}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		f.Why, f.cause = "a redirect is not followed: enter the address that it leads to", job.ErrRejected
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.cause = ErrDenied
	case code == http.StatusBadRequest, code == http.StatusMethodNotAllowed, code == http.StatusGone, code == http.StatusRequestEntityTooLarge,
		code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		f.cause = job.ErrRejected
	}
	return f
}

// slackMessage is a notice for Slack and those who take its messages (Mattermost, Rocket.Chat, Discord).
func slackMessage(n Notice) any {
	var b strings.Builder
	subject := n.App
	if subject == "" {
		subject = n.Tree
	}
	fmt.Fprintf(&b, "*%s* %s", slackText(oneLine(subject, 200)), happened(n))
	if n.Detail != "" {
		b.WriteString("\n```\n" + slackCode(clip(still(n.Detail), 1500)) + "\n```")
	}
	for _, address := range []string{n.URL, n.Link} {
		if linkable(address) && !strings.ContainsAny(address, "<>|\"` ") {
			b.WriteString("\n<" + strings.ReplaceAll(address, "&", "&amp;") + ">")
		}
	}
	return struct {
		Text   string `json:"text"`
		Names  bool   `json:"link_names"`
		Unfurl bool   `json:"unfurl_links"`
		Media  bool   `json:"unfurl_media"`
	}{Text: b.String()}
}

// happened words an outcome, in FlyCD's own words alone.
func happened(n Notice) string {
	words := map[job.Outcome]string{
		job.Created: "was created", job.Updated: "was updated", job.Unchanged: "is unchanged", job.Superseded: "was superseded by a newer push",
		job.Cancelled: "was called off", job.Rejected: "was rejected", job.Failed: "failed",
	}
	s := words[n.Outcome]
	switch {
	case n.Kind == job.Destroy && n.Outcome.Done():
		s = "was destroyed"
	case n.Kind == job.Destroy:
		s = "is to be destroyed: that " + s
	case n.Kind == job.Sync && n.Outcome.Done():
		s = "was read"
	case n.Release > 0 && n.Outcome == job.Updated:
		s = fmt.Sprintf("was updated to release %d", n.Release)
	}
	return s
}

// link puts a job into the address of the setting, whose {job} and {app} stand for it.
func link(pattern string, j job.Job) string {
	return strings.NewReplacer("{job}", url.PathEscape(string(j.ID)), "{app}", url.PathEscape(j.App)).Replace(pattern)
}
