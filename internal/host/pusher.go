package host

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kind/pkg/cluster/nodes"

	"kind-local-registry/config"
	nodefiles "kind-local-registry/internal/host/node"
	"kind-local-registry/internal/pusher"
)

// certsDir is where the pusher's container has its certificates, in a volume.
const certsDir = "/etc/" + config.PusherContainer

// renewBefore is how long before their end the pusher's certificates are made anew.
const renewBefore = 90 * 24 * time.Hour

// errNotReady is returned by what needs an earlier step that was not applied yet.
var errNotReady = errors.New("is not there yet")

func (s *System) pusherStep() Step {
	return Step{Name: "pusher", Check: s.checkPusher, Apply: s.applyPusher, Undo: s.undoPusher}
}

func (s *System) pusherPiece(ctx context.Context) (piece, error) {
	id, err := s.imageID(ctx, webhookImage())
	if err != nil {
		return piece{}, err
	}
	socket := s.socket
	if s.virtual {
		socket = "/var/run/docker.sock" // of the virtual machine
	}
	registry, mounts, err := s.pusherRegistry(ctx)
	if err != nil {
		return piece{}, err
	}
	return piece{
		Name: config.PusherContainer, Image: id, Network: s.network, FromTop: pusherFromTop,
		Command: []string{
			"pusher", "--certs", certsDir, "--docker-host", "unix:///var/run/docker.sock",
			"--registry", registry,
			"--registry-host", s.registryHost(),
		},
		Env:    append([]string{"GOMEMLIMIT=48MiB"}, s.rulesVariables()...),
		Reads:  s.imageDirectories(),
		Mounts: append(mounts, config.PusherContainer+":"+certsDir, socket+":/var/run/docker.sock"),
		// It opens files of the daemon's and two sockets, of any owner: if users are remapped, not its own root.
		Capabilities: []string{"DAC_OVERRIDE"}, HostUsers: true,
		// For setup push; at a port of Docker's choice, which no other program can have taken.
		ContainerPort: config.PusherPort,
	}, nil
}

// pusherRegistry returns where the pusher reaches the registry, and what it mounts for that: the socket of ours, and the
// address of another one.
func (s *System) pusherRegistry(ctx context.Context) (address string, mounts []string, err error) {
	carried, err := s.carriesRegistry(ctx)
	if err != nil || !carried {
		return fmt.Sprintf("http://%s:%d", config.RegistryContainer, config.RegistryContainerPort), nil, err
	}
	return "unix://" + config.RegistrySocket, []string{registrySocketMount}, nil
}

// imageDirectories returns the directories in which the daemon keeps layers as files; some may not exist. It depends on the
// daemon alone, and not on what the user may see. In a virtual machine they cannot be counted on.
func (s *System) imageDirectories() []string {
	if s.virtual {
		return nil
	}
	return s.layout.Directories()
}

func (s *System) checkPusher(ctx context.Context) (State, error) {
	p, err := s.pusherPiece(ctx)
	if err != nil {
		return State{}, err
	}
	state, err := s.checkPiece(ctx, p)
	if err != nil || !state.OK {
		return state, err
	}
	credentials, err := s.pusherCredentials(ctx, config.PusherContainer)
	if err == nil {
		err = checkCertificates(credentials)
	}
	if err != nil {
		return State{Detail: fmt.Sprintf("certificates of %s: %v", config.PusherContainer, err)}, nil
	}
	return state, nil
}

// checkCertificates returns why the certificates must be renewed: they have to be valid now, and for renewBefore.
func checkCertificates(credentials pusher.Credentials) error {
	now := time.Now()
	return credentials.Check(now, now.Add(renewBefore))
}

func (s *System) applyPusher(ctx context.Context, _ Progress) error {
	p, err := s.pusherPiece(ctx)
	if err != nil {
		return err
	}
	return s.runPiece(ctx, p, s.ensureCredentials)
}

// ensureCredentials keeps the certificates in the container's volume, or makes new ones where they are missing, broken or
// about to expire.
func (s *System) ensureCredentials(ctx context.Context, container string) error {
	if kept, err := s.pusherCredentials(ctx, container); err == nil && checkCertificates(kept) == nil {
		return nil
	}
	made, err := pusher.NewCredentials(time.Now())
	if err != nil {
		return fmt.Errorf("making the pusher's certificates: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, content := range made.Files() {
		header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}
		if err := w.WriteHeader(header); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
		if _, err := w.Write(content); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("packing the pusher's certificates: %w", err)
	}
	_, err = s.docker.CopyToContainer(ctx, container, client.CopyToContainerOptions{DestinationPath: certsDir, Content: &archive})
	if err != nil {
		return fmt.Errorf("copying certificates into container %s: %w", config.PusherContainer, err)
	}
	return nil
}

// pusherCredentials reads the certificates back from the container.
func (s *System) pusherCredentials(ctx context.Context, container string) (pusher.Credentials, error) {
	copied, err := s.docker.CopyFromContainer(ctx, container, client.CopyFromContainerOptions{SourcePath: certsDir})
	if errdefs.IsNotFound(err) {
		return pusher.Credentials{}, fmt.Errorf("%s %w", config.PusherContainer, errNotReady)
	}
	if err != nil {
		return pusher.Credentials{}, fmt.Errorf("copying certificates from container %s: %w", config.PusherContainer, err)
	}
	files, err := untar(copied.Content)
	if err := errors.Join(err, copied.Content.Close()); err != nil {
		return pusher.Credentials{}, fmt.Errorf("reading certificates from container %s: %w", config.PusherContainer, err)
	}
	return pusher.Credentials{
		CA:         files[pusher.CAFile],
		ServerCert: files[pusher.ServerCertFile], ServerKey: files[pusher.ServerKeyFile],
		ClientCert: files[pusher.ClientCertFile], ClientKey: files[pusher.ClientKeyFile],
	}, nil
}

// untar returns the regular files of a small archive by their base names.
func untar(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if files[path.Base(header.Name)], err = io.ReadAll(io.LimitReader(r, 1<<20)); err != nil {
			return nil, err
		}
	}
}

// pusherAddress returns where pods reach the pusher: its address on the kind network, of the family of the cluster's
// Services.
func (s *System) pusherAddress(ctx context.Context) (string, error) {
	found, err := s.find(ctx, config.PusherContainer)
	if err != nil {
		return "", err
	}
	if found == nil || found.NetworkSettings.Networks[s.network] == nil {
		return "", fmt.Errorf("%s %w", config.PusherContainer, errNotReady)
	}
	endpoint := found.NetworkSettings.Networks[s.network]
	client, err := s.kube()
	if err != nil {
		return "", err
	}
	if ipv6, err := onlyIPv6(ctx, client); err != nil || ipv6 {
		return endpoint.GlobalIPv6Address.String(), err
	}
	return endpoint.IPAddress.String(), nil
}

// onlyIPv6 says whether the cluster's first family is IPv6, as its own Service shows.
func onlyIPv6(ctx context.Context, client kubernetes.Interface) (bool, error) {
	service, err := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("reading Service kubernetes: %w", err)
	}
	return len(service.Spec.IPFamilies) > 0 && service.Spec.IPFamilies[0] == "IPv6", nil
}

// undoPusher removes the pusher, unless another kind cluster is served by it.
func (s *System) undoPusher(ctx context.Context) (string, error) {
	others, err := s.otherClusters(ctx)
	if err != nil {
		return "", err
	}
	if len(others) > 0 {
		return fmt.Sprintf("left: it serves kind cluster %s too", others[0]), nil
	}
	err = errors.Join(s.removeContainer(ctx, config.PusherContainer), s.removeVolume(ctx, config.PusherContainer))
	return config.PusherContainer + " removed", err
}

// otherClusters returns the other kind clusters whose nodes pull from our registry.
func (s *System) otherClusters(ctx context.Context) ([]string, error) {
	all, err := s.provider(nil).List()
	if err != nil {
		return nil, fmt.Errorf("listing kind clusters: %w", err)
	}
	var others []string
	for _, name := range all {
		if name == s.Cluster() {
			continue
		}
		members, err := s.provider(nil).ListInternalNodes(name)
		if err != nil {
			return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", name, err)
		}
		pulls, err := s.anyPulls(ctx, members)
		if err != nil {
			return nil, fmt.Errorf("looking whether kind cluster %s uses %s: %w", name, config.RegistryContainer, err)
		}
		if pulls {
			others = append(others, name)
		}
	}
	return others, nil
}

// anyPulls reports whether one of the nodes, which may be stopped, pulls from our registry.
func (s *System) anyPulls(ctx context.Context, members []nodes.Node) (bool, error) {
	file := nodefiles.HostsFile(s.registryHost())
	for _, node := range members {
		copied, err := s.docker.CopyFromContainer(ctx, node.String(), client.CopyFromContainerOptions{SourcePath: file})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("copying %s from node %s: %w", file, node, err)
		}
		files, err := untar(copied.Content)
		if err := errors.Join(err, copied.Content.Close()); err != nil {
			return false, fmt.Errorf("reading %s of node %s: %w", file, node, err)
		}
		if written, found := files[path.Base(file)]; found && !isForeignHosts(string(written)) {
			return true, nil
		}
	}
	return false, nil
}
