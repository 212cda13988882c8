package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func (c *cli) simCommand() *cobra.Command {
	var listen string
	var execs, tokens []string
	var opts flysim.Options
	cmd := &cobra.Command{
		Use: "sim", Short: "Serve a simulated Fly for any client", GroupID: "run",
		Long: `Serve Fly's APIs, simulated in memory: machines, and what flyctl needs beside them. Point a client at it with
FLY_FLAPS_BASE_URL, FLY_API_BASE_URL and FLY_UIEX_BASE_URL, all three at the same address. Machines are simulated;
with --exec, those of one image run a command of this host instead, with the machine's environment. GET /_sim/state
shows everything, PUT /_sim/faults makes calls fail, POST /_sim/clock moves time,
POST /_sim/certificates/HOSTNAME/issue lets a certificate arrive. What is not simulated is answered with 501.`,
		Example: `  flycd sim --listen 127.0.0.1:4280 --token secret
  export FLY_API_TOKEN=secret FLY_FLAPS_BASE_URL=http://127.0.0.1:4280
  export FLY_API_BASE_URL=$FLY_FLAPS_BASE_URL FLY_UIEX_BASE_URL=$FLY_FLAPS_BASE_URL
  flycd deploy ./my-app; flyctl status --app my-app
  flycd sim --exec registry.fly.io/runner=./dist/runner`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Exec = map[string][]string{}
			for _, e := range execs {
				image, command, ok := strings.Cut(e, "=")
				if !ok || image == "" || len(strings.Fields(command)) == 0 {
					return usage(fmt.Errorf("--exec %q: expected IMAGE=COMMAND", e))
				}
				opts.Exec[image] = strings.Fields(command)
			}
			opts.Tokens = tokens
			if _, _, err := net.SplitHostPort(listen); err != nil {
				return usage(fmt.Errorf("--listen %q: expected HOST:PORT, such as 127.0.0.1:4280", listen))
			}
			return c.simulate(cmd.Context(), listen, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:4280", "address to serve on; port 0 takes a free one")
	flags.StringArrayVar(&execs, "exec", nil, "IMAGE=COMMAND: machines of the image run the command (may be repeated)")
	flags.StringArrayVar(&tokens, "token", nil, "a token that may do everything (may be repeated); without one, everybody may")
	flags.StringArrayVar(&opts.Orgs, "org", nil, "an organisation that exists (may be repeated); without one, any does")
	flags.BoolVar(&opts.RateLimits, "rate-limits", false, "limit requests as Fly does")
	flags.StringVar(&opts.Record, "record", "", "folder to write requests and bodies to")
	return cmd
}

func (c *cli) simulate(ctx context.Context, listen string, opts flysim.Options) error {
	opts.Log = slog.New(slog.NewTextHandler(c.err, nil))
	server := flysim.New(opts)
	url, err := server.Listen(listen) //nolint:contextcheck // it takes none; Close ends it
	if err != nil {
		_ = server.Close()
		return err
	}
	fmt.Fprintf(c.out, "a simulated Fly answers at %s\n", url)
	<-ctx.Done()
	return server.Close()
}
