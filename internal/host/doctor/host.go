package doctor

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/sys/unix"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
)

// host examines the host: Docker and the containers that setup keeps running.
type host struct{ Parts }

func (h host) checks() []Check {
	images := service.ImagesStep(h.Registry)
	return []Check{
		{Name: nameDocker, Probe: h.docker, Why: "the images, the registry and the kind nodes are in this Docker daemon"},
		{
			Name: nameVersions, After: []string{nameDocker}, Probe: h.Cluster.VersionsStep().Check,
			Why: "older versions lack what setup and the webhook need",
		},
		{Name: nameDisk, After: []string{nameDocker}, Probe: h.disk, Why: "builds, pushes and pulls fail without free space"},
		{
			Name: nameImages, After: []string{nameDocker}, Probe: images.Check, Fix: images.Apply,
			Why: "setup's containers are recreated from these images",
		},
		{
			Name: nameRegistry, After: []string{nameImages}, Probe: h.Registry.Step().Check, Fix: h.Registry.Step().Apply,
			Ours: h.ours(config.RegistryContainer),
			Why:  "every node pulls rewritten images from the registry",
		},
		{
			Name: nameLocalhost, After: []string{nameRegistry}, Probe: h.Registry.CheckLocalhost,
			Why: "docker pull and curl on this host may reach something else than the registry",
		},
		{
			Name: namePusher, After: []string{nameImages}, Probe: h.Pusher.Step().Check, Fix: h.Pusher.Step().Apply,
			Ours: h.ours(config.PusherContainer),
			Why:  "without the pusher, no pod is rewritten and no image is pushed",
		},
		{
			Name: namePusherAPI, After: []string{namePusher, nameRegistry}, Probe: h.Pusher.CheckAnswers,
			Why: "without the pusher, no pod is rewritten and no image is pushed",
		},
		{
			Name: nameLinker, After: []string{nameImages}, Probe: h.Linker.Step().Check, Fix: h.Linker.Step().Apply,
			Ours: h.ours(config.LinkerContainer),
			Why:  "without the linker, nodes copy every layer, which takes longer and more disk space",
		},
		{
			Name: nameLinking, After: []string{nameLinker, namePusherAPI}, Probe: h.Linker.CheckLinking,
			Why: "without the linker, nodes copy every layer, which takes longer and more disk space",
		},
		{
			Name: nameCluster, After: []string{nameDocker, nameVersions}, Probe: h.Cluster.Step(h.Nodes.RegistryHost).Check,
			Why: "there is no cluster to run pods in",
		},
		{
			Name: nameProxy, After: []string{nameCluster}, Probe: h.proxy,
			Why: "setup and kubectl would reach the API server through a proxy, which cannot reach this host's cluster",
		},
	}
}

// docker describes the daemon. Opening it has already proved that it answers and that it is on this host.
func (h host) docker(ctx context.Context) (step.State, error) {
	about, err := h.Engine.About(ctx)
	if err != nil {
		return step.State{}, err
	}
	return step.State{OK: true, Detail: describeDocker(about)}, nil
}

// describeDocker describes the daemon in a line.
func describeDocker(about engine.About) string {
	parts := []string{"Docker " + about.Version, about.Driver}
	for _, word := range []struct {
		is   bool
		text string
	}{
		{about.Rootless, "rootless"},
		{about.Remapped, "userns-remap"},
		{about.LiveRestore, "live-restore"},
		{about.HTTPProxy != "" || about.HTTPSProxy != "", "pulls through a proxy"},
	} {
		if word.is {
			parts = append(parts, word.text)
		}
	}
	return strings.Join(parts, ", ")
}

// minFree is the number of bytes that must be free on the disk with Docker's data: room for a large layer.
const minFree = 1 << 30

// disk checks the free space on the disk with Docker's data.
func (h host) disk(ctx context.Context) (step.State, error) {
	about, err := h.Engine.About(ctx)
	if err != nil {
		return step.State{}, err
	}
	if h.Engine.Virtual {
		return step.State{OK: true, Detail: "unknown: Docker runs in a virtual machine; see docker system df"}, nil
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(about.Root, &stat); err != nil {
		detail := fmt.Sprintf("unknown: %s cannot be read", about.Root)
		return step.State{OK: true, Detail: detail}, nil //nolint:nilerr // another user's directory
	}
	return diskState(about.Root, stat.Bavail*uint64(stat.Bsize), stat.Ffree, stat.Files), nil // #nosec G115 -- a block's size is positive
}

// diskState judges the free space. A file system without a fixed number of inodes reports 0 of 0.
func diskState(root string, free, inodes, allInodes uint64) step.State {
	detail := fmt.Sprintf("%s free in %s", units.HumanSize(float64(free)), root)
	switch {
	case free < minFree:
		return step.State{Detail: "only " + detail, Remedy: "run docker system df, then setup prune, docker image prune or docker builder prune"}
	case allInodes > 0 && inodes < allInodes/100:
		return step.State{
			Detail: fmt.Sprintf("only %d of %d inodes are free in %s", inodes, allInodes, root),
			Remedy: "run docker system df, then setup prune and docker image prune",
		}
	}
	return step.State{OK: true, Detail: detail}
}

// proxy checks that requests to the API server and to the registry do not go to a proxy.
func (h host) proxy(context.Context) (step.State, error) {
	server, err := h.Cluster.Server()
	if err != nil {
		return step.State{}, err
	}
	return proxyState(httpproxy.FromEnvironment(), server, h.Registry.URL())
}

// proxyState judges the proxy settings for the targets.
func proxyState(settings *httpproxy.Config, targets ...string) (step.State, error) {
	for _, target := range targets {
		to, err := url.Parse(target)
		if err != nil {
			return step.State{}, err
		}
		proxy, err := settings.ProxyFunc()(to)
		if err != nil {
			return step.State{ //nolint:nilerr // a state, not a failure
				Detail: "the environment's proxy settings are invalid: " + err.Error(), Remedy: "correct HTTP_PROXY and HTTPS_PROXY",
			}, nil
		}
		if proxy != nil {
			return step.State{
				Detail: fmt.Sprintf("requests to %s go to the proxy %s", target, proxy.Redacted()),
				Remedy: "run export NO_PROXY=\"$NO_PROXY," + to.Hostname() + "\"",
			}, nil
		}
	}
	if settings.HTTPProxy == "" && settings.HTTPSProxy == "" {
		return step.State{OK: true, Detail: "no proxy is set"}, nil
	}
	return step.State{OK: true, Detail: "the proxy is not used for the cluster and the registry"}, nil
}
