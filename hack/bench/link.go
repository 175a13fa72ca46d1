package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// The values of setup up's --link.
const (
	linkAuto = "auto"
	linkOff  = "off"
)

const (
	// linkerTimeout is how long the linker may take to find the nodes after setup up.
	linkerTimeout = 30 * time.Second
	// pushTimeout is how long the push of a promised image may take.
	pushTimeout = 10 * time.Minute
	// promisesInterval is the time between two checks of whether promised images have been pushed.
	promisesInterval = 200 * time.Millisecond
)

// useLink turns linking on or off, unless link is "". Before that, it waits until every promised image has been pushed.
func (h *host) useLink(ctx context.Context, link string) error {
	if link == "" || link == h.link {
		return nil
	}
	if err := h.awaitPushes(ctx); err != nil {
		return err
	}
	h.link = link
	return h.install(ctx)
}

// connect connects to the pusher with the webhook's credentials, and waits until every node can be given layers. If
// linking is off, it only disconnects.
func (h *host) connect(ctx context.Context) error {
	h.disconnect()
	if h.link != linkAuto {
		return nil
	}
	published, err := h.command(ctx, "", "docker", "port", config.PusherContainer, fmt.Sprintf("%d/tcp", config.PusherPort))
	if err != nil {
		return err
	}
	address, _, _ := strings.Cut(published, "\n") // the others are the same port on other addresses
	directory, err := h.command(ctx, "", "docker", "volume", "inspect", "--format", "{{.Mountpoint}}", config.PusherContainer)
	if err != nil {
		return err
	}
	if h.pusher, err = dial(address, directory); err != nil {
		return err
	}
	return h.awaitLinker(ctx)
}

func (h *host) disconnect() {
	if h.pusher != nil {
		h.pusher.Close()
		h.pusher = nil
	}
}

// dial returns a client for the pusher at address. directory contains the credentials.
func dial(address, directory string) (*pusher.Client, error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- a file of the pusher's volume
		faults = append(faults, err)
		return content
	}
	ca, cert, key := read(pusher.CAFile), read(pusher.ClientCertFile), read(pusher.ClientKeyFile)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	security, err := pusher.ClientTLS(ca, cert, key)
	if err != nil {
		return nil, err
	}
	return pusher.NewClient(address, security), nil
}

// awaitLinker waits until every node of the cluster can be given layers. The error gives the reason why a node cannot.
func (h *host) awaitLinker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, linkerTimeout)
	defer cancel()
	for {
		all, err := h.pusher.Nodes(ctx)
		if err == nil {
			err = linkable(all)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the linker: %w", err)
		case <-time.After(time.Second):
		}
	}
}

// linkable returns an error unless every node of the cluster can be given layers.
func linkable(all []linkapi.Node) error {
	missing := map[string]bool{}
	for _, node := range nodes() {
		missing[node] = true
	}
	for _, node := range all {
		if missing[node.Name] && node.Unlinkable != "" {
			return fmt.Errorf("layers cannot be linked to %s: %s: %s", node.Name, node.Unlinkable, node.Detail)
		}
		delete(missing, node.Name)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the linker knows only %d of %d nodes", len(nodes())-len(missing), len(nodes()))
	}
	return nil
}

// promise looks up the images one by one, and has those promised that the registry lacks. It sends the same requests as the
// webhook at a pod's admission.
func (b *bench) promise(ctx context.Context, images []string) (references []string, err error) {
	for _, image := range images {
		lookup := func(name rewrite.Name) (rewrite.Presence, error) { return b.pusher.Lookup(ctx, name) }
		decision := rewrite.Decide(rewrite.Question{Image: image, RegistryHost: registryHost()}, lookup)
		if decision.Reason == rewrite.RewrittenPushing {
			promised, err := b.pusher.Promise(ctx, image)
			if err != nil {
				return nil, err
			}
			decision, _ = decision.AfterPush(promised.String(), nil)
		}
		if decision.Reason != rewrite.Rewritten {
			return nil, fmt.Errorf("looking up %s: %s %s", image, decision.Reason, decision.Detail)
		}
		references = append(references, decision.Rewritten)
	}
	return references, nil
}

// awaitPushes waits until the registry has every promised image. A promise ends when its image has been pushed.
func (h *host) awaitPushes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	for {
		left, err := promises(h.registryData)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the push of %d promised images: %w", left, ctx.Err())
		case <-time.After(promisesInterval):
		}
	}
}

// promises returns the number of promises in the registry's data directory.
func promises(registryData string) (int, error) {
	files, err := os.ReadDir(filepath.Join(registryData, "promises"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return len(files), err
}
