package forge

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Deployment is a commit that runs, or was to run, somewhere.
type Deployment struct {
	Commit string `json:"commit"`
	// Mark tells it from every other one.
	Mark string `json:"mark"`
	// Environment names where; a later deployment of the same one takes its place.
	Environment string `json:"environment"`
	// State is success, failure or error.
	State string `json:"state"`
	// Description is plain text; what is more than 140 bytes is cut.
	Description string `json:"description"`
	// URL is where it answers, Log where more is told of it; both may be empty.
	URL string `json:"url,omitempty"`
	Log string `json:"log,omitempty"`
}

// deploymentPayload is kept with the forge's deployment, so that it is found again.
type deploymentPayload struct {
	Mark string `json:"flycd"`
}

type wireDeployment struct {
	ID      int64           `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

// marked tells whether a deployment is the one with the mark. The payload comes back as it was, or as text.
func (w wireDeployment) marked(mark string) bool {
	raw := w.Payload
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = []byte(text)
	}
	var p deploymentPayload
	return json.Unmarshal(raw, &p) == nil && p.Mark == mark
}

type wireDeploymentState struct {
	State string `json:"state"`
}

// Deployment records a deployment of a commit with its state. Where look is true, what is there of it already is not made
// again; then it is safe to repeat.
func (c *Client) Deployment(ctx context.Context, repo string, d Deployment, look bool) error {
	commit := d.Commit
	p, err := c.openAt(ctx, repo, commit)
	if err != nil {
		return err
	}
	d.Environment, d.Description = oneLine(d.Environment, maxEnvironment), oneLine(d.Description, maxDescription)
	path := "repos/" + p.String() + "/deployments"
	var w wireDeployment
	found := false
	if look {
		query := url.Values{"sha": {commit}, "environment": {d.Environment}}
		if w, found, err = find(ctx, p.api, request{path: path, query: query}, func(w wireDeployment) bool { return w.marked(d.Mark) }); err != nil {
			return c.failure(err, "look for the deployment of %s", p.at(commit))
		}
	}
	if !found {
		if err := call(ctx, p.api, request{method: http.MethodPost, path: path, body: newDeployment(d)}, &w); err != nil {
			return c.failure(err, "create deployment of %s", p.at(commit))
		}
	}
	path += "/" + itoa(w.ID) + "/statuses"
	if found {
		_, told, err := find(ctx, p.api, request{path: path}, func(s wireDeploymentState) bool { return s.State == d.State || s.State == "inactive" })
		if err != nil || told {
			return c.failure(err, "look for the deployment of %s", p.at(commit))
		}
	}
	err = call(ctx, p.api, request{method: http.MethodPost, path: path, body: newState(d)}, nil)
	return c.failure(err, "set state of the deployment of %s", p.at(commit))
}

func newDeployment(d Deployment) any {
	return struct {
		Ref         string            `json:"ref"`
		AutoMerge   bool              `json:"auto_merge"`
		Contexts    []string          `json:"required_contexts"`
		Payload     deploymentPayload `json:"payload"`
		Environment string            `json:"environment"`
		Description string            `json:"description"`
	}{d.Commit, false, []string{}, deploymentPayload{d.Mark}, d.Environment, d.Description}
}

func newState(d Deployment) any {
	for _, address := range []*string{&d.URL, &d.Log} {
		if !linkable(*address) {
			*address = ""
		}
	}
	return struct {
		State        string `json:"state"`
		Description  string `json:"description"`
		URL          string `json:"environment_url,omitempty"`
		Log          string `json:"log_url,omitempty"`
		AutoInactive bool   `json:"auto_inactive"`
	}{d.State, d.Description, d.URL, d.Log, true}
}
