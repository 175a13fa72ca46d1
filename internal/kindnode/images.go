package kindnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"kind-local-registry/internal/disk"
)

const (
	// listScript prints the node's images, and then its containers.
	listScript = `crictl images -o json; crictl ps -a -o json`

	// containersScript prints the node's containers.
	containersScript = `crictl ps -a -o json`

	// removeScript removes the images with the IDs $1, $2 and so on, and prints the ID of each that was removed.
	removeScript = `for id in "$@"; do if crictl rmi "$id" >/dev/null; then echo "$id"; fi; done`
)

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

// Images returns the images on a running node.
func (c *Client) Images(ctx context.Context, cluster, node string) ([]disk.NodeImage, error) {
	var listed images
	var running containers
	err := c.run(ctx, node, func(stdout io.Reader) error {
		documents := json.NewDecoder(stdout)
		return errors.Join(documents.Decode(&listed), documents.Decode(&running))
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
		found = append(found, one)
	}
	return found, nil
}

// RemoveImages removes images from a node, except those that a container uses by now. It returns the IDs of the images that were
// removed. If a container needs a removed image a moment later, the kubelet pulls it again.
func (c *Client) RemoveImages(ctx context.Context, node string, ids []string) (removed []string, err error) {
	var running containers
	decode := func(stdout io.Reader) error { return json.NewDecoder(stdout).Decode(&running) }
	if err := c.run(ctx, node, decode, containersScript); err != nil {
		return nil, fmt.Errorf("listing the containers: %w", err)
	}
	used := running.use()
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return used[id] })
	if len(ids) == 0 {
		return nil, nil
	}
	err = c.run(ctx, node, func(stdout io.Reader) error {
		for {
			var id string
			if _, err := fmt.Fscanln(stdout, &id); err != nil {
				return ignoreEOF(err)
			}
			removed = append(removed, id)
		}
	}, removeScript, ids...)
	if err != nil {
		return removed, fmt.Errorf("removing images: %w", err)
	}
	return removed, nil
}

// ignoreEOF returns nil for io.EOF.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
