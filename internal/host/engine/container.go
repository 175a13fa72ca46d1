package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

const (
	// fingerprintLabel is the label that records the fingerprint of a container's description.
	fingerprintLabel = config.Label + "/made-from"
	// imageLabel is the label that contains Container.Chosen.
	imageLabel = config.Label + "/image"
)

// loopback is the host address at which containers publish their ports, so that only the host can reach them.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Container describes a container that setup keeps running on the kind network. If the description changes, the container is
// recreated. Changes are detected by a digest of the description's JSON, so renaming or reordering fields recreates every
// container.
type Container struct {
	Name    string
	Image   string // image ID, so that a rebuilt image recreates the container
	Chosen  string // image reference if the user chose the image; "" for an image that setup carries
	Command []string
	Env     []string
	Mounts  []string // volumes and files, as in docker run -v
	// Reads are directories on the daemon's host that are mounted read-only at the same paths, without the file systems mounted
	// below them. Directories that do not exist are omitted.
	Reads []string
	// Capabilities are the container's only capabilities. A container with a chosen image has Docker's default capabilities
	// instead.
	Capabilities []string
	// Writes is a directory of the daemon's host that is mounted writable at the same path, without the file systems mounted
	// below it; "" for none.
	Writes string `json:",omitempty"`
	// HostProcesses lets the container see the host's processes and open their files. It turns off the restrictions that a
	// security module (AppArmor, SELinux) would impose on the container.
	HostProcesses bool `json:",omitempty"`
	// HostUsers makes the container's root the same user as root on the daemon's host, even if the daemon remaps users.
	HostUsers bool
	// ContainerPort is published on the host's loopback at HostPort. If HostPort is 0, Docker chooses a port at each start. If
	// ContainerPort is 0, no port is published.
	HostPort, ContainerPort int
	// FromTop selects the container's fixed address. It is subtracted from the last address of the network's subnet.
	FromTop int
	// Network is the container's network; "" for none.
	Network string
}

// fingerprint returns a digest of the description.
func (c Container) fingerprint() string {
	document, _ := json.Marshal(c) // a struct of strings and numbers always marshals
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// labels returns the labels for a container that is created from c.
func (c Container) labels() map[string]string {
	return map[string]string{config.Label: c.Name, fingerprintLabel: c.fingerprint(), imageLabel: c.Chosen}
}

// hostConfig returns Docker's settings for the container, and the port to expose.
func (c Container) hostConfig() (*container.HostConfig, network.PortSet, error) {
	settings := &container.HostConfig{
		Binds:         c.Mounts,
		NetworkMode:   container.NetworkMode(cmp.Or(c.Network, network.NetworkNone)),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}},
		SecurityOpt:   []string{"no-new-privileges"},
	}
	if c.Chosen == "" { // another image may need more
		settings.CapDrop, settings.CapAdd, settings.ReadonlyRootfs = []string{"ALL"}, c.Capabilities, true
	}
	if c.HostUsers {
		settings.UsernsMode = "host"
	}
	if c.HostProcesses {
		settings.PidMode = "host"
		settings.SecurityOpt = append(settings.SecurityOpt, "apparmor=unconfined", "label=disable")
	}
	if c.Writes != "" {
		settings.Mounts = append(settings.Mounts, bind(c.Writes, false))
	}
	for _, directory := range c.Reads {
		settings.Mounts = append(settings.Mounts, bind(directory, true))
	}
	if c.ContainerPort == 0 {
		return settings, nil, nil
	}
	port, err := network.ParsePort(strconv.Itoa(c.ContainerPort) + "/tcp")
	if err != nil {
		return nil, nil, fmt.Errorf("publishing port %d of %s: %w", c.ContainerPort, c.Name, err)
	}
	binding := network.PortBinding{HostIP: loopback}
	if c.HostPort != 0 {
		binding.HostPort = strconv.Itoa(c.HostPort)
	}
	settings.PortBindings = network.PortMap{port: {binding}}
	return settings, network.PortSet{port: {}}, nil
}

// bind returns the mount that shows a directory of the daemon's host at the same path in the container.
func bind(directory string, readOnly bool) mount.Mount {
	return mount.Mount{
		Type: mount.TypeBind, Source: directory, Target: directory, ReadOnly: readOnly,
		// A recursive mount would keep other containers' file systems busy, so that Docker could not unmount them.
		BindOptions: &mount.BindOptions{NonRecursive: true},
	}
}
