// Command linker gives kind nodes the layers of the Docker daemon's images as hard links. The registry and the pusher send it
// requests through a Unix socket.
//
// It runs on the host, in a container that setup creates, without a network. It needs the Docker socket, the host's PID
// namespace, write access to the directory that contains Docker's layers and volumes, at the same path as on the host, and the
// capabilities CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP, SYS_ADMIN and SYS_PTRACE.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/link"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "linker:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends or the daemon's socket is lost.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("linker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	socket := flags.String("socket", config.LinkerSocket, "path of the Unix socket to listen on")
	dockerHost := flags.String("docker-host", "unix:///var/run/docker.sock", "address of the Docker daemon")
	if err := flags.Parse(args); err != nil {
		return err
	}
	daemon, err := docker.New(*dockerHost)
	if err != nil {
		return err
	}
	defer func() { _ = daemon.Close() }()
	linker, err := link.NewLinker(daemon, *socket+".broken")
	if err != nil {
		return err
	}
	defer linker.Close()
	listener, err := httpserver.ListenSocket(ctx, *socket)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	group, ctx := errgroup.WithContext(ctx)
	// The error ends the process. Docker then restarts the container, which mounts the new socket.
	group.Go(func() error { return docker.AwaitLoss(ctx, *dockerHost) })
	group.Go(func() error { return link.NewServer(linker, log).Serve(ctx, listener) })
	return group.Wait()
}
