// Command registry runs the OCI registry of kind-local-registry: the distribution library with a directory as its storage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"kind-local-registry/config"
	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/link/linkapi"
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

// options contains the flags.
type options struct {
	listen, socket, root, writeFrom, hosts, linker string
}

// run serves the registry until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", ":"+strconv.Itoa(config.RegistryContainerPort), "address to listen on")
	flags.StringVar(&o.socket, "socket", "", "path of an additional Unix socket to listen on; any process that can open it may write")
	flags.StringVar(&o.root, "root", "/var/lib/registry", "directory to store images in")
	flags.StringVar(&o.writeFrom, "write-from", "", "addresses that may write, in addition to the host's; for example, 172.18.0.0/16,10.0.0.1")
	flags.StringVar(&o.hosts, "hosts", "", "host names to accept in Host headers, in addition to localhost, kind-registry and IP addresses;"+
		" for example, registry.example,registry")
	flags.StringVar(&o.linker, "linker", "", "path of the linker's Unix socket; if set, nodes get layers as hard links before they pull an image")
	if err := flags.Parse(args); err != nil {
		return err
	}
	registry.LogTo(stderr)
	writeFrom, err := parsePrefixes(o.writeFrom)
	if err != nil {
		return fmt.Errorf("parsing --write-from: %w", err)
	}
	served := registry.Config{Root: o.root, WriteFrom: writeFrom, Hosts: list(o.hosts)}
	if o.linker != "" {
		linker := linkapi.NewClient(o.linker)
		defer linker.Close()
		served.Linker = linker
	}
	handler, err := registry.New(ctx, served)
	if err != nil {
		return err
	}
	listeners, err := o.listeners(ctx)
	if err != nil {
		return err
	}
	return registry.Serve(ctx, handler, listeners...)
}

// listeners listens on the address, and on the socket if its path is set.
func (o options) listeners(ctx context.Context) ([]net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if o.socket == "" {
		return []net.Listener{listener}, nil
	}
	socket, err := httpserver.ListenSocket(ctx, o.socket)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return []net.Listener{listener, socket}, nil
}

// parsePrefixes parses a list of addresses and CIDR prefixes.
func parsePrefixes(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, entry := range list(text) {
		if address, err := netip.ParseAddr(entry); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// list splits text at commas and spaces.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
