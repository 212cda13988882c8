package fly

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// releaseTime bounds what a release record may take of a deploy, which does not depend on it.
const releaseTime = 20 * time.Second

// Release is what flyctl records of a deploy: it reads the newest one back for `fly releases`, `fly
// config show`, `fly scale count` and `fly secrets set`.
type Release struct {
	App, Image string
	// Strategy is rolling, immediate, canary or bluegreen; empty means rolling.
	Strategy string
	// Definition is the app's whole fly.toml as JSON.
	Definition json.RawMessage
	// BuildID is Fly's number of a build; zero where there is none.
	BuildID int64
}

// ReleaseRecord is a release that Fly keeps. Only LastRelease fills in what is below Version.
type ReleaseRecord struct {
	ID      string
	Version int
	// Status is pending, running, complete, failed or interrupted.
	Status, Image string
	// Strategy is as in Release.
	Strategy   string
	Definition json.RawMessage
}

type releaseView struct {
	ID       string `json:"id"`
	Version  int    `json:"version"`
	Status   string `json:"status"`
	ImageRef string `json:"image_ref"`
}

// StartRelease records that a deploy begins. The record's id and version are what flyctl writes into
// the machines' metadata (fly_release_id, fly_release_version). Its error is no reason to fail a deploy. A record
// whose answer was lost is looked for before it is made again.
func (c *Client) StartRelease(ctx context.Context, r Release) (ReleaseRecord, error) {
	op := "record a release of " + r.App
	if err := checkName(r.App); err != nil {
		return ReleaseRecord{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	var made releaseView
	for try := 1; ; try++ {
		var err error
		if made, err = c.createRelease(ctx, r); err == nil {
			break
		}
		f := fateOf(ctx, err)
		if (f != unknown && f != again) || try == tries || sleep(ctx, c.options.Poll) != nil {
			return ReleaseRecord{}, c.explain(ctx, op, err)
		}
		newest, lerr := c.newestRelease(ctx, r.App)
		if lerr != nil {
			return ReleaseRecord{}, c.explain(ctx, op, cmp.Or(lerr, err))
		}
		if newest.Status == "pending" && newest.ImageRef == r.Image {
			made = newest
			break
		}
	}
	record := ReleaseRecord{ID: made.ID, Version: made.Version}
	return record, c.explain(ctx, op, c.patchRelease(ctx, record.ID, "running", nil))
}

func (c *Client) createRelease(ctx context.Context, r Release) (releaseView, error) {
	in := struct {
		App        string          `json:"app_name"`
		Build      int64           `json:"build_id"`
		Definition json.RawMessage `json:"definition"`
		Image      string          `json:"image"`
		Strategy   string          `json:"strategy"`
	}{r.App, r.BuildID, r.Definition, r.Image, strings.ToUpper(cmp.Or(r.Strategy, "rolling"))}
	var said struct {
		Release releaseView `json:"release"`
	}
	err := c.rest.uiexCall(ctx, endpoint{http.MethodPost, "/releases"}, in, &said)
	return said.Release, err
}

// newestRelease is the zero value where there is none.
func (c *Client) newestRelease(ctx context.Context, app string) (releaseView, error) {
	var said struct {
		Releases []releaseView `json:"releases"`
	}
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.uiexCall(ctx, endpoint{http.MethodGet, "/apps/" + url.PathEscape(app) + "/releases?limit=1"}, nil, &said)
	})
	if err != nil && fateOf(ctx, err) != missing {
		return releaseView{}, err
	}
	if len(said.Releases) == 0 {
		return releaseView{}, nil
	}
	return said.Releases[0], nil
}

// EndRelease records how a deploy ended: status is complete, failed or interrupted, problem a sentence
// for people. It may be repeated; a record without an id is left alone. Its error is no reason to fail a deploy.
func (c *Client) EndRelease(ctx context.Context, record ReleaseRecord, status, problem string) error {
	if record.ID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	info := map[string]any{"post_deployment_info": map[string]string{"flyctl_version": c.options.UserAgent, "error": c.clean(problem)}}
	err := c.patchRelease(ctx, record.ID, status, info)
	return c.explain(ctx, fmt.Sprintf("record the end of release %d", record.Version), err)
}

// patchRelease says what becomes of a release. Saying it twice does no harm.
func (c *Client) patchRelease(ctx context.Context, id, status string, metadata any) error {
	for try := 1; ; try++ {
		err := c.rest.uiexCall(ctx, endpoint{http.MethodPatch, "/releases/" + url.PathEscape(id)}, map[string]any{"status": status, "metadata": metadata}, nil)
		if err == nil {
			return nil
		}
		if f := fateOf(ctx, err); (f != unknown && f != again) || try == tries || sleep(ctx, c.options.Poll) != nil {
			return err
		}
	}
}

const releasesQuery = `query($appName: String!, $limit: Int!) {
	app(name: $appName) {
		releases: releasesUnprocessed(first: $limit) { nodes { id version status imageRef deploymentStrategy configDefinition } }
	}
}`

// LastRelease gives the newest release of an app that is complete, whoever made it, with its
// definition: what `fly config show` shows. The zero value says that there is none. It may be
// repeated.
func (c *Client) LastRelease(ctx context.Context, app string) (ReleaseRecord, error) {
	if err := checkName(app); err != nil {
		return ReleaseRecord{}, err
	}
	var said struct {
		App struct {
			Releases struct {
				Nodes []struct {
					ID, Status, ImageRef, DeploymentStrategy string
					Version                                  int
					ConfigDefinition                         json.RawMessage
				}
			}
		}
	}
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.query(ctx, releasesQuery, map[string]any{"appName": app, "limit": 25}, &said)
	})
	if err != nil {
		return ReleaseRecord{}, c.explain(ctx, "look at the releases of "+app, err)
	}
	for _, r := range said.App.Releases.Nodes {
		if s := strings.ToLower(r.Status); s == "complete" || s == "succeeded" {
			definition := r.ConfigDefinition
			if string(definition) == "null" {
				definition = nil
			}
			return ReleaseRecord{
				ID: r.ID, Version: r.Version, Status: "complete", Image: r.ImageRef,
				Strategy: strings.ToLower(r.DeploymentStrategy), Definition: definition,
			}, nil
		}
	}
	return ReleaseRecord{}, nil
}
