// Command registry is the OCI registry that setup runs on the host: distribution on a directory, and nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"kind-local-registry/internal/registry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

// run serves the registry until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", ":5000", "address to listen on")
	root := flags.String("root", "/var/lib/registry", "directory that holds the data")
	if err := flags.Parse(args); err != nil {
		return err
	}
	registry.LogTo(stderr)
	handler, err := registry.New(ctx, registry.Config{Root: *root})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return registry.Serve(ctx, listener, handler)
}
