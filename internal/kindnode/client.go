package kindnode

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// The labels of kind's nodes.
const (
	clusterLabel = "io.x-k8s.kind.cluster"
	roleLabel    = "io.x-k8s.kind.role"
	controlPlane = "control-plane"
	loadBalancer = "external-load-balancer"
)

// commandTimeout is how long a command on a node may take.
const commandTimeout = 5 * time.Minute

// maxStderr is how many bytes of a failed command's error output become part of the error.
const maxStderr = 1000

// Client runs commands on kind nodes. It is safe for concurrent use.
type Client struct {
	api       *client.Client
	hostsFile string
}

// New returns a client of the Docker daemon at an address such as unix:///var/run/docker.sock. registryHost is the registry's
// host in image references. New does not connect yet.
func New(address, registryHost string) (*Client, error) {
	api, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("configuring the Docker client for %s: %w", address, err)
	}
	return &Client{api: api, hostsFile: "/etc/containerd/certs.d/" + registryHost + "/hosts.toml"}, nil
}

// Close closes idle connections.
func (c *Client) Close() error { return c.api.Close() }

// member is a node of a kind cluster.
type member struct {
	name         string
	running      bool
	controlPlane bool
}

// members returns the Kubernetes nodes of all kind clusters, keyed by cluster and sorted by name.
func (c *Client) members(ctx context.Context) (map[string][]member, error) {
	listed, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", clusterLabel)})
	if err != nil {
		return nil, fmt.Errorf("listing the kind nodes: %w", err)
	}
	clusters := map[string][]member{}
	for _, found := range listed.Items {
		if found.Labels[roleLabel] == loadBalancer || len(found.Names) == 0 {
			continue
		}
		cluster := found.Labels[clusterLabel]
		clusters[cluster] = append(clusters[cluster], member{
			name: strings.TrimPrefix(found.Names[0], "/"), running: found.State == container.StateRunning,
			controlPlane: found.Labels[roleLabel] == controlPlane,
		})
	}
	for _, members := range clusters {
		slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	}
	return clusters, nil
}

// run runs a script with sh -e and the arguments $1, $2 and so on in a node's container. consume reads what the script prints to
// stdout.
func (c *Client) run(ctx context.Context, node string, consume func(io.Reader) error, script string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	created, err := c.api.ExecCreate(ctx, node, client.ExecCreateOptions{
		Cmd: append([]string{"sh", "-ec", script, "sh"}, args...), AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return fmt.Errorf("running a command on node %s: %w", node, err)
	}
	attached, err := c.api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return fmt.Errorf("running a command on node %s: %w", node, err)
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)() // a hijacked connection does not end with the context
	stdout, writer := io.Pipe()
	var stderr bytes.Buffer
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, err := stdcopy.StdCopy(writer, &limited{&stderr, maxStderr}, attached.Reader)
		writer.CloseWithError(err)
	}()
	err = consume(stdout)
	_, _ = io.Copy(io.Discard, stdout) // so that the script can end
	<-copied
	return c.outcome(ctx, node, created.ID, stderr.String(), err)
}

// outcome returns the error of a script that has ended.
func (c *Client) outcome(ctx context.Context, node, id, stderr string, consumed error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("running a command on node %s: %w", node, ctx.Err())
	}
	ended, err := c.api.ExecInspect(ctx, id, client.ExecInspectOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("running a command on node %s: %w", node, err)
	case ended.ExitCode != 0:
		return fmt.Errorf("node %s: exit status %d: %s", node, ended.ExitCode, strings.TrimSpace(stderr))
	case consumed != nil:
		return fmt.Errorf("reading the output of node %s: %w", node, consumed)
	}
	return nil
}

// usesRegistry reports whether containerd on any of the nodes is configured to reach the registry. The nodes need not run.
func (c *Client) usesRegistry(ctx context.Context, members []member) (bool, error) {
	for _, m := range members {
		_, err := c.api.ContainerStatPath(ctx, m.name, client.ContainerStatPathOptions{Path: c.hostsFile})
		if err == nil {
			return true, nil
		}
		if !errdefs.IsNotFound(err) {
			return false, fmt.Errorf("looking for %s on node %s: %w", c.hostsFile, m.name, err)
		}
	}
	return false, nil
}

// limited is a writer that drops everything after left bytes.
type limited struct {
	io.Writer
	left int
}

// Write writes at most the bytes that are left. It never fails.
func (l *limited) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.left)]
	l.left -= len(kept)
	_, err := l.Writer.Write(kept)
	return len(p), errors.Join(err)
}
