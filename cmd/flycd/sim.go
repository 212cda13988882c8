package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge/forgesim"
)

// simulation is what flycd sim is asked for.
type simulation struct {
	listen                string
	execs, proxies        []string
	fly                   flysim.Options
	forgeAt, forgeDir     string
	forgeTokens, forgeOrg []string
}

func (c *cli) simCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use: "sim", Short: "Serve a simulated Fly for any client", GroupID: "run",
		Long: `Serve Fly's APIs, simulated in memory: machines, and what flyctl needs beside them. Point a client at it with
FLY_FLAPS_BASE_URL, FLY_API_BASE_URL and FLY_UIEX_BASE_URL, all three at the same address. Machines are simulated;
with --exec, those of one image run a command of this host instead, with the machine's environment. GET /_sim/state
shows everything, PUT /_sim/faults makes calls fail, POST /_sim/clock moves time,
POST /_sim/certificates/HOSTNAME/issue lets a certificate arrive. What is not simulated is answered with 501.

With --proxy, apps are reached as they are on Fly, at ADDR with the host APP.fly.dev or APP.localhost: a machine that sleeps is
woken, and with --idle one that has nothing to do falls asleep where its service says autostop. POST /_sim/apps/APP/url gives
an address of the app's own; commands of --exec find that in place of https://APP.fly.dev, and the simulator's own in place of
Fly's APIs. With --redis, each Upstash Redis that is made is a database of that one.

With --forge, a forge that speaks as GitHub does serves the bare repositories in --forge-dir (OWNER/NAME.git): its REST API, git over
HTTP, webhooks. POST /_sim/push {"repo","ref"} at its address tells its hooks what moved in them. What it sends to
https://APP.fly.dev arrives at the app.`,
		Example: `  flycd sim --listen 127.0.0.1:4280 --token secret
  export FLY_API_TOKEN=secret FLY_FLAPS_BASE_URL=http://127.0.0.1:4280
  export FLY_API_BASE_URL=$FLY_FLAPS_BASE_URL FLY_UIEX_BASE_URL=$FLY_FLAPS_BASE_URL
  flycd deploy ./my-app; flyctl status --app my-app
  flycd sim --exec registry.fly.io/runner=./dist/runner
  flycd sim --proxy 127.0.0.1:4281 --idle 10s --redis redis://127.0.0.1:6379 --forge 127.0.0.1:4282 --forge-dir ./repos`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return usage(err)
			}
			return c.simulate(cmd.Context(), s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:4280", "address to serve on; port 0 takes a free one")
	flags.StringArrayVar(&s.execs, "exec", nil, "IMAGE=COMMAND: machines of the image run the command (may be repeated)")
	flags.StringArrayVar(&s.fly.Tokens, "token", nil, "a token that may do everything (may be repeated); without one, everybody may")
	flags.StringArrayVar(&s.fly.Orgs, "org", nil, "an organisation that exists (may be repeated); without one, any does")
	flags.BoolVar(&s.fly.RateLimits, "rate-limits", false, "limit requests as Fly does")
	flags.StringVar(&s.fly.Record, "record", "", "folder to write requests and bodies to")
	flags.StringArrayVar(&s.proxies, "proxy", nil, "ADDR[=APP]: address to reach apps at, by their host, or one app whatever the host (may be repeated)")
	flags.DurationVar(&s.fly.Idle, "idle", 0, "how long a machine is without requests until autostop takes it; 0: for ever")
	flags.StringVar(&s.fly.Redis, "redis", "", "URL of the Redis that is behind each Upstash Redis")
	flags.StringVar(&s.forgeAt, "forge", "", "address to serve a simulated forge on")
	flags.StringVar(&s.forgeDir, "forge-dir", "", "folder of the forge's bare repositories, OWNER/NAME.git; without one, a temporary folder")
	flags.StringArrayVar(&s.forgeTokens, "forge-token", nil, "TOKEN[=LOGIN]: a token of the forge that may do everything (may be repeated); without one, everybody may")
	flags.StringArrayVar(&s.forgeOrg, "forge-org", nil, "an owner at the forge that is an organisation (may be repeated)")
	return cmd
}

// check reads what was given.
func (s *simulation) check() error {
	s.fly.Exec = map[string][]string{}
	for _, e := range s.execs {
		image, command, ok := strings.Cut(e, "=")
		if !ok || image == "" || len(strings.Fields(command)) == 0 {
			return fmt.Errorf("--exec %q: expected IMAGE=COMMAND", e)
		}
		s.fly.Exec[image] = strings.Fields(command)
	}
	addresses := [][2]string{{"--listen", s.listen}}
	for _, p := range s.proxies {
		addr, _, _ := strings.Cut(p, "=")
		addresses = append(addresses, [2]string{"--proxy", addr})
	}
	if s.forgeAt != "" {
		addresses = append(addresses, [2]string{"--forge", s.forgeAt})
	} else if s.forgeDir != "" || len(s.forgeTokens) > 0 || len(s.forgeOrg) > 0 {
		return errors.New("--forge-dir, --forge-token and --forge-org are for a forge: give --forge its address, such as 127.0.0.1:4282")
	}
	for _, a := range addresses {
		if _, _, err := net.SplitHostPort(a[1]); err != nil {
			return fmt.Errorf("%s %q: expected HOST:PORT, such as 127.0.0.1:4280", a[0], a[1])
		}
	}
	if s.fly.Idle < 0 {
		return fmt.Errorf("--idle %s: expected a time such as 10s", s.fly.Idle)
	}
	if at, err := url.Parse(s.fly.Redis); s.fly.Redis != "" && (err != nil || at.Scheme != "redis" && at.Scheme != "rediss" || at.Host == "") {
		// it may hold a password
		return errors.New("--redis: expected redis://HOST:PORT")
	}
	return nil
}

// simulate serves until the end of the context.
func (c *cli) simulate(ctx context.Context, sim simulation) (err error) {
	sim.fly.Log = slog.New(slog.NewTextHandler(c.err, nil))
	server := flysim.New(sim.fly)
	defer func() { err = errors.Join(err, server.Close()) }()
	at, err := server.Listen(sim.listen) //nolint:contextcheck // it takes none; Close ends it
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "a simulated Fly answers at %s\n", at)
	for _, p := range sim.proxies {
		addr, app, _ := strings.Cut(p, "=")
		if at, err = server.ListenProxy(addr, app); err != nil { //nolint:contextcheck // as above
			return err
		}
		if app == "" {
			app = "its apps"
		}
		fmt.Fprintf(c.out, "%s can be reached at %s\n", app, at)
	}
	if sim.forgeAt != "" {
		forge, err := sim.forge(server) //nolint:contextcheck // as above
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, forge.Close()) }()
		if at, err = forge.Listen(sim.forgeAt); err != nil { //nolint:contextcheck // as above
			return err
		}
		fmt.Fprintf(c.out, "a simulated forge answers at %s\n", at)
	}
	<-ctx.Done()
	return nil
}

// forge makes the forge, whose deliveries to Fly's addresses arrive at the simulated Fly.
func (s simulation) forge(fly *flysim.Server) (*forgesim.Server, error) {
	tokens := map[string]forgesim.Token{}
	for _, t := range s.forgeTokens {
		token, login, _ := strings.Cut(t, "=")
		tokens[token] = forgesim.Token{Login: login}
	}
	return forgesim.New(forgesim.Options{
		Dir: s.forgeDir, Tokens: tokens, Orgs: slices.Clone(s.forgeOrg), Log: s.fly.Log,
		HTTP: fly.Transport(&http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 5 * time.Second}),
	})
}
