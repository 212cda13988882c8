// Command dispatcher takes webhooks, queues jobs in Redis and makes a Fly Machine for each. It is one
// small static binary, because Fly wakes it from a slow disk. dispatcher --help lists its settings.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends it at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], environment{vars: environ(), out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// environment is what the process was given.
type environment struct {
	vars     []string
	out, err io.Writer
}
