package fly

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/plan"
)

// Before gives the machine with the config that a version of it had, in the state that it is in now.
// Its image has a digest where the config named one. The error says that the version is not known any
// more.
func (c *Client) Before(ctx context.Context, m plan.Machine, app, version string) (plan.Machine, error) {
	op := fmt.Sprintf("look at version %s of machine %s", version, m.ID)
	var all []struct {
		Version string          `json:"version"`
		Config  json.RawMessage `json:"user_config"`
	}
	err := c.look(ctx, func(ctx context.Context) error {
		body, err := c.get(ctx, fmt.Sprintf("/apps/%s/machines/%s/versions", app, m.ID))
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &all)
	})
	if err != nil {
		return plan.Machine{}, c.explain(ctx, op, err)
	}
	for _, v := range all {
		if v.Version != version {
			continue
		}
		config := &flygo.MachineConfig{}
		if err := json.Unmarshal(v.Config, config); err != nil {
			return plan.Machine{}, fmt.Errorf("%s: %w", op, err)
		}
		old := *m.Machine
		old.InstanceID, old.Config, old.ImageRef = version, config, flygo.MachineImageRef{}
		_, old.ImageRef.Digest, _ = strings.Cut(config.Image, "@")
		return plan.Machine{Machine: &old, Raw: v.Config}, nil
	}
	return plan.Machine{}, &problem{op + ": Fly does not know it any more", nil}
}

// get asks for what fly-go has no call for.
func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	req, err := c.flaps.NewRequest(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.options.UserAgent)
	resp, err := c.wire.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &flaps.FlapsError{ResponseStatusCode: resp.StatusCode, ResponseBody: body}
	}
	return body, err
}
