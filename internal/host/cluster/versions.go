package cluster

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

// The oldest versions that can run the parts of setup. kind's own version does not matter, because all that a node needs of it is in
// the node's image.
var (
	// minDocker is the first version with API 1.41, which the pusher uses.
	minDocker = version.MustParseGeneric("20.10")
	// minKubernetes is the first version in which scheduling gates are on by default.
	minKubernetes = version.MustParseGeneric("1.27")
	// minContainerd is the first version that implements CRI v1, which the kubelet of minKubernetes needs. Version 1.5 was the first
	// to read hosts.toml.
	minContainerd = version.MustParseGeneric("1.6")
)

const (
	// versionFile is the file in which kind records the Kubernetes version of a node image.
	versionFile = "/kind/version"
	// officialImage is the repository of kind's node images, whose tags are Kubernetes versions.
	officialImage = "kindest/node"
)

// VersionsStep returns the step that checks that setup can work with the versions of Docker, Kubernetes and containerd. setup cannot
// change them, so the step fails if it is applied.
func (c *Cluster) VersionsStep() step.Step {
	return step.Step{
		Name: "versions", InCluster: true, Check: c.checkVersions,
		Apply: func(ctx context.Context, _ step.Progress) error { return c.CheckVersions(ctx) },
	}
}

// CheckVersions returns an error with a remedy if setup cannot work with one of the versions.
func (c *Cluster) CheckVersions(ctx context.Context) error {
	state, err := c.checkVersions(ctx)
	if err != nil || state.OK {
		return err
	}
	return step.Remedy(errors.New(state.Detail), state.Remedy)
}

func (c *Cluster) checkVersions(ctx context.Context) (step.State, error) {
	if tooOld(c.engine.Version, minDocker) {
		return step.State{
			Detail: fmt.Sprintf("Docker is version %s; %s is needed", c.engine.Version, minDocker), Remedy: "upgrade Docker",
		}, nil
	}
	found := []string{"Docker " + c.engine.Version}
	members, err := c.members(ctx)
	if err != nil {
		return step.State{}, err
	}
	if len(members) == 0 {
		return c.checkImages(found), nil
	}
	kubernetes, err := oldestKubernetes(ctx, c.engine, members)
	if err != nil {
		return step.State{}, err
	}
	if tooOld(kubernetes, minKubernetes) {
		return step.State{
			Detail: fmt.Sprintf("kind cluster %s runs Kubernetes %s; %s is needed", c.Name(), kubernetes, minKubernetes),
			Remedy: recreate(c.Name()),
		}, nil
	}
	if kubernetes != "" {
		found = append(found, "Kubernetes "+kubernetes)
	}
	nodes, err := c.Nodes()
	if err != nil {
		return step.State{}, err
	}
	return c.checkContainerd(ctx, nodes, found), nil
}

// checkContainerd checks the version of containerd on each node. It ignores nodes that do not run. found lists the versions that are
// not too old.
func (c *Cluster) checkContainerd(ctx context.Context, nodes []node.Node, found []string) step.State {
	oldest := ""
	for _, one := range nodes {
		containerd, err := one.ContainerdVersion(ctx)
		if err != nil {
			continue
		}
		if tooOld(containerd, minContainerd) {
			return step.State{
				Detail: fmt.Sprintf("node %s runs containerd %s; %s is needed", one.Name, containerd, minContainerd), Remedy: recreate(c.Name()),
			}
		}
		oldest = older(oldest, containerd)
	}
	if oldest != "" {
		found = append(found, "containerd "+oldest)
	}
	return step.State{OK: true, Detail: strings.Join(found, ", ")}
}

// checkImages checks the node images for a new cluster. It knows the Kubernetes versions of kind's own images only.
func (c *Cluster) checkImages(found []string) step.State {
	for _, image := range nodeImages(c.options.NodeImage, c.kindConfig) {
		if kubernetes := imageVersion(image); tooOld(kubernetes, minKubernetes) {
			return step.State{
				Detail: fmt.Sprintf("node image %s has Kubernetes %s; %s is needed", image, kubernetes, minKubernetes),
				Remedy: "choose a newer one with --node-image, or leave it out for kind's default",
			}
		}
	}
	return step.State{OK: true, Detail: strings.Join(found, ", ")}
}

// nodeImages returns the node images that kind would use. An image for all nodes takes precedence over those in the configuration.
func nodeImages(forAll string, configuration *v1alpha4.Cluster) []string {
	if forAll != "" {
		return []string{forAll}
	}
	var images []string
	for _, one := range configuration.Nodes {
		images = append(images, one.Image)
	}
	return images
}

// imageVersion returns the Kubernetes version of one of kind's own node images, such as kindest/node:v1.27.3@sha256:…. It returns ""
// for all other images.
func imageVersion(image string) string {
	name, _, _ := strings.Cut(image, "@")
	tag, found := strings.CutPrefix(strings.TrimPrefix(name, "docker.io/"), officialImage+":v")
	if !found {
		return ""
	}
	return tag
}

// recreate says how to get a cluster with newer nodes.
func recreate(cluster string) string {
	return fmt.Sprintf("recreate the cluster with a newer node image: kind delete cluster --name %s, and then setup up --cluster %s", cluster, cluster)
}

// oldestKubernetes returns the oldest Kubernetes version of the nodes, or "" if no node has one. It also works if the nodes are
// stopped.
func oldestKubernetes(ctx context.Context, docker *engine.Engine, members []string) (string, error) {
	oldest := ""
	for _, member := range members {
		files, err := docker.ReadFiles(ctx, member, versionFile)
		if err != nil {
			return "", err
		}
		oldest = older(oldest, strings.TrimPrefix(strings.TrimSpace(string(files[path.Base(versionFile)])), "v"))
	}
	return oldest, nil
}

// tooOld reports whether a version is older than the minimum. It returns false if the version is unknown.
func tooOld(found string, minimum *version.Version) bool {
	parsed, err := version.ParseGeneric(found)
	return err == nil && !parsed.AtLeast(minimum)
}

// older returns the older of two versions. A version that cannot be parsed does not count.
func older(a, b string) string {
	first, errA := version.ParseGeneric(a)
	second, errB := version.ParseGeneric(b)
	if errB != nil || errA == nil && first.LessThan(second) {
		return a
	}
	return b
}
