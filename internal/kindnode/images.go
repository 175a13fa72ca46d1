package kindnode

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"kind-local-registry/internal/disk"
)

// The scripts print JSON documents of crictl, and then containerd's names for images.
const (
	// listScript prints the node's images, its containers, and containerd's names for images.
	listScript = `crictl images -o json; crictl ps -a -o json; echo '"names"'; ctr -n k8s.io images ls -q`

	// containersScript prints the node's containers.
	containersScript = `crictl ps -a -o json`

	// removeScript removes images by ID. An image from kind load is first given the name under which the runtime knows it, because
	// crictl rmi could not remove its own name. When the runtime knows the new name, the old one is removed. At the end, the script
	// prints containerd's names for images.
	removeScript = `
for image in "$@"; do
	case "$image" in
	sha256:*) crictl rmi "$image" || true ;;
	*)
		known="docker.io/library/$image"
		ctr -n k8s.io images tag --force "$image" "$known" || continue
		for attempt in 1 2 3 4 5 6 7 8 9 10; do
			if crictl inspecti "$known"; then break; fi
			sleep 0.1
		done
		ctr -n k8s.io images rm "$image" || true
		;;
	esac >/dev/null
done
ctr -n k8s.io images ls -q`
)

// libraryPrefix is what the runtime adds to names without a registry. containerd itself knows an image from kind load as
// import-2026-01-31@sha256:…
const libraryPrefix = "docker.io/library/"

// images is what crictl images prints.
type images struct {
	Images []struct {
		ID          string   `json:"id"`
		RepoTags    []string `json:"repoTags"`
		RepoDigests []string `json:"repoDigests"`
		Size        string   `json:"size"`
		Pinned      bool     `json:"pinned"`
	} `json:"images"`
}

// containers is what crictl ps prints. Runtimes fill in different fields.
type containers struct {
	Containers []struct {
		Image struct {
			Image string `json:"image"`
		} `json:"image"`
		ImageRef string `json:"imageRef"`
		ImageID  string `json:"imageId"`
		State    string `json:"state"`
	} `json:"containers"`
}

// exited is the state of a container that has ended. The kubelet removes it a minute after its pod was deleted. As long as the pod
// exists, the pod uses the image.
const exited = "CONTAINER_EXITED"

// use returns the images that the containers use, by ID or by name.
func (c containers) use() map[string]bool {
	used := map[string]bool{}
	for _, one := range c.Containers {
		if one.State == exited {
			continue
		}
		used[one.Image.Image], used[one.ImageRef], used[one.ImageID] = true, true, true
	}
	return used
}

// names are containerd's names for images. For each image, the runtime adds the image's ID as a name.
type names map[string]bool

// readNames reads names, one per line.
func readNames(lines io.Reader) (names, error) {
	found := names{}
	for scanner := bufio.NewScanner(lines); ; {
		if !scanner.Scan() {
			return found, scanner.Err()
		}
		found[scanner.Text()] = true
	}
}

// of returns containerd's names for an image. crictl prints names without a registry in another form. It may also list an image that
// containerd no longer has, because the runtime does not notice when ctr removes such a name. An image without names does not exist.
func (n names) of(image disk.NodeImage) []string {
	var found []string
	for _, name := range append([]string{image.ID}, image.References...) {
		for _, known := range []string{name, strings.TrimPrefix(name, libraryPrefix)} {
			if n[known] && !slices.Contains(found, known) {
				found = append(found, known)
			}
		}
	}
	return found
}

// Images returns the images on a running node.
func (c *Client) Images(ctx context.Context, cluster, node string) ([]disk.NodeImage, error) {
	var listed images
	var running containers
	var known names
	err := c.run(ctx, node, func(stdout io.Reader) (err error) {
		var marker string
		documents := json.NewDecoder(stdout)
		if err := errors.Join(documents.Decode(&listed), documents.Decode(&running), documents.Decode(&marker)); err != nil {
			return err
		}
		known, err = readNames(io.MultiReader(documents.Buffered(), stdout))
		return err
	}, listScript)
	if err != nil {
		return nil, fmt.Errorf("listing the images: %w", err)
	}
	used := running.use()
	found := make([]disk.NodeImage, 0, len(listed.Images))
	for _, image := range listed.Images {
		size, _ := strconv.ParseInt(image.Size, 10, 64) // 0 if the runtime does not know it
		one := disk.NodeImage{
			Cluster: cluster, Node: node, ID: image.ID, References: append(image.RepoTags, image.RepoDigests...), Bytes: size, Pinned: image.Pinned,
		}
		one.Running = used[image.ID] || slices.ContainsFunc(one.References, func(name string) bool { return used[name] })
		if len(known.of(one)) > 0 {
			found = append(found, one)
		}
	}
	return found, nil
}

// RemoveImages removes images from a node, except those that a container uses by now. It returns the images that were removed. If a
// container needs a removed image a moment later, the kubelet pulls it again.
func (c *Client) RemoveImages(ctx context.Context, node string, all []disk.NodeImage) (removed []disk.NodeImage, err error) {
	var running containers
	decode := func(stdout io.Reader) error { return json.NewDecoder(stdout).Decode(&running) }
	if err := c.run(ctx, node, decode, containersScript); err != nil {
		return nil, fmt.Errorf("listing the containers: %w", err)
	}
	used := running.use()
	all = slices.DeleteFunc(slices.Clone(all), func(image disk.NodeImage) bool { return used[image.ID] })
	if len(all) == 0 {
		return nil, nil
	}
	var words []string
	for _, image := range all {
		for _, name := range image.References {
			if short, found := strings.CutPrefix(name, libraryPrefix); found {
				words = append(words, short)
			}
		}
		words = append(words, image.ID)
	}
	var left names
	err = c.run(ctx, node, func(stdout io.Reader) (err error) { left, err = readNames(stdout); return err }, removeScript, words...)
	if err != nil {
		return nil, fmt.Errorf("removing images: %w", err)
	}
	return slices.DeleteFunc(all, func(image disk.NodeImage) bool { return len(left.of(image)) > 0 }), nil
}
