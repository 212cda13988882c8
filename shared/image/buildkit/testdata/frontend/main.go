// Command frontend is what a "# syntax" line of the tests names: it makes an image of one file, which says what its
// definition says.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	if err := grpcclient.RunFromEnvironment(context.Background(), build); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func build(ctx context.Context, c client.Client) (*client.Result, error) {
	opts := c.BuildOpts()
	read, err := llb.Local("dockerfile", llb.SessionID(opts.SessionID)).Marshal(ctx)
	if err != nil {
		return nil, err
	}
	from, err := c.Solve(ctx, client.SolveRequest{Definition: read.ToPB()})
	if err != nil {
		return nil, err
	}
	text, err := from.Ref.ReadFile(ctx, client.ReadRequest{Filename: opts.Opts["filename"]})
	if err != nil {
		return nil, err
	}
	made, err := llb.Scratch().File(llb.Mkfile("/made", 0o644, append([]byte("by the frontend of "), text...))).Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return nil, err
	}
	res, err := c.Solve(ctx, client.SolveRequest{Definition: made.ToPB()})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(specs.Image{Platform: specs.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		return nil, err
	}
	res.AddMeta(exptypes.ExporterImageConfigKey, config)
	return res, nil
}
