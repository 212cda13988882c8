package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/source"
)

// gitCommand serves bare repositories over loopback HTTP, for trying things without a forge.
func (c *cli) gitCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "git DIR", Hidden: true, Args: cobra.ExactArgs(1),
		Short: "Serve the bare repositories in a folder, read only",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.serveGit(cmd.Context(), args[0], listen)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on")
	return cmd
}

func (c *cli) serveGit(ctx context.Context, dir, listen string) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	server := &http.Server{Handler: &source.Server{Dir: dir}, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(c.out, "repositories are at http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
