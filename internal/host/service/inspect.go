package service

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
)

// answerTimeout is how long a container that was just started may take to answer.
const answerTimeout = 5 * time.Second

// Ours reports whether setup created the container with that name. It returns true if the container does not exist.
func (r *Registry) Ours(ctx context.Context, container string) (bool, error) {
	found, err := r.engine.Find(ctx, container)
	return err == nil && (found == nil || found.Ours()), err
}

// Addresses returns the registry's addresses on the kind network, as pods and nodes reach it. It returns none if the registry is
// not connected to that network.
func (r *Registry) Addresses(ctx context.Context) (ipv4, ipv6 string, err error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil || found == nil || found.Endpoint(r.engine.Network.Name) == nil {
		return "", "", err
	}
	endpoint := found.Endpoint(r.engine.Network.Name)
	if endpoint.IPAddress.IsValid() {
		ipv4 = endpoint.IPAddress.String()
	}
	if endpoint.GlobalIPv6Address.IsValid() {
		ipv6 = endpoint.GlobalIPv6Address.String()
	}
	return ipv4, ipv6, nil
}

// addLocalhost is the remedy if localhost does not resolve to the address at which containers publish their ports.
const addLocalhost = "add 127.0.0.1 localhost to /etc/hosts"

// CheckLocalhost checks that the registry answers under its name on the host, as docker pull and curl call it. localhost may
// resolve to ::1, where another program may listen.
func (r *Registry) CheckLocalhost(ctx context.Context) (step.State, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, "localhost")
	if err != nil {
		return step.State{Detail: "localhost does not resolve on this host: " + err.Error(), Remedy: addLocalhost}, nil
	}
	return r.checkLocalhost(ctx, addresses)
}

// checkLocalhost is CheckLocalhost for the addresses to which localhost resolves.
func (r *Registry) checkLocalhost(ctx context.Context, addresses []string) (step.State, error) {
	if !slices.Contains(addresses, "127.0.0.1") {
		return step.State{
			Detail: fmt.Sprintf("localhost resolves to %q on this host, not to 127.0.0.1", addresses), Remedy: addLocalhost,
		}, nil
	}
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return step.State{}, err
	}
	other := net.JoinHostPort("::1", strconv.Itoa(r.options.Port))
	if found != nil && !found.PublishesIPv6(r.options.Port) && slices.Contains(addresses, "::1") && listens(ctx, other) {
		return step.State{
			Detail: "another program listens on " + other + ", to which localhost resolves too",
			Remedy: fmt.Sprintf("stop that program (see ss -ltnp), or run setup up --registry-port %d", r.options.Port+1),
		}, nil
	}
	return step.State{OK: true, Detail: r.Host() + " is 127.0.0.1"}, nil
}

// listens reports whether a program accepts connections at the address.
func listens(ctx context.Context, address string) bool {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// CheckAnswers checks that the pusher answers a client with the cluster's certificate, and reaches Docker and the registry. It looks
// up the webhook's image, which is present in both.
func (p *Pusher) CheckAnswers(ctx context.Context) (step.State, error) {
	name, err := rewrite.Parse(WebhookImage())
	if err != nil {
		return step.State{}, err
	}
	client, err := p.dial(ctx)
	if err != nil {
		return step.State{}, err
	}
	defer client.Close()
	var took time.Duration
	err = step.Poll(ctx, answerTimeout, func(ctx context.Context) error {
		start := time.Now()
		_, err := client.Lookup(ctx, name)
		took = time.Since(start)
		return err
	})
	if err != nil {
		return step.State{Detail: err.Error(), Remedy: "see docker logs " + config.PusherContainer}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("answered a lookup over TLS in %d ms", took.Milliseconds())}, nil
}

// CheckLinking checks that the linker answers, and tells which nodes cannot be given layers, and why. Such nodes pull, so they are
// no fault.
func (l *Linker) CheckLinking(ctx context.Context) (step.State, error) {
	unused, err := l.unused(ctx)
	if err != nil {
		return step.State{}, err
	}
	if unused != "" {
		return step.State{OK: true, Detail: "nodes pull every layer: " + unused}, nil
	}
	err = step.Poll(ctx, answerTimeout, func(ctx context.Context) error {
		_, err := l.List(ctx)
		return err
	})
	if err != nil {
		return step.State{Detail: err.Error(), Remedy: "see docker logs " + config.LinkerContainer}, nil //nolint:nilerr // a state, not a failure
	}
	return step.State{OK: true, Detail: l.nodes(ctx)}, nil
}

// List returns the nodes that the linker knows.
func (l *Linker) List(ctx context.Context) ([]linkapi.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	client, err := l.pusher.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Nodes(ctx)
}

// URLFromPods returns the URL at which pods reach the registry, by its address on the kind network.
func (r *Registry) URLFromPods(ctx context.Context, ipv6 bool) (string, error) {
	address, ipv6Address, err := r.Addresses(ctx)
	if err != nil {
		return "", err
	}
	if ipv6 {
		address = ipv6Address
	}
	if address == "" {
		return "", fmt.Errorf("%s has no address of the pods' IP family on network %s", config.RegistryContainer, r.engine.Network.Name)
	}
	return "http://" + net.JoinHostPort(address, strconv.Itoa(config.RegistryContainerPort)) + "/v2/", nil
}
