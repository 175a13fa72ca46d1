package kindnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"kind-local-registry/internal/disk"
)

// usesScript prints every object that names the images of pods: pods, and objects that create pods. Old ReplicaSets and
// ControllerRevisions are among them, because kubectl rollout undo returns to what they name.
const usesScript = `
kubectl --kubeconfig /etc/kubernetes/admin.conf get --all-namespaces --request-timeout 20s -o json \
	pods,podtemplates,replicationcontrollers,jobs.batch,cronjobs.batch,replicasets.apps,deployments.apps,statefulsets.apps,daemonsets.apps,\
controllerrevisions.apps`

// Clusters returns the kind clusters on this host, and the images that their objects use.
func (c *Client) Clusters(ctx context.Context) ([]disk.Cluster, []disk.Use, error) {
	all, err := c.members(ctx)
	if err != nil {
		return nil, nil, err
	}
	clusters := []disk.Cluster{}
	var uses []disk.Use
	for _, name := range slices.Sorted(maps.Keys(all)) {
		cluster := disk.Cluster{Name: name, Nodes: []string{}}
		for _, m := range all[name] {
			if m.running {
				cluster.Nodes = append(cluster.Nodes, m.name)
			}
		}
		found, unknown := c.uses(ctx, name, all[name])
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if unknown != nil {
			affected, err := c.usesRegistry(ctx, all[name])
			if err != nil {
				return nil, nil, err
			}
			if affected {
				cluster.Unknown = unknown.Error()
			}
		}
		clusters, uses = append(clusters, cluster), append(uses, found...)
	}
	return clusters, uses, nil
}

// errStopped is the error for a cluster without a running control plane.
var errStopped = errors.New("no control-plane node is running")

// uses returns the images that a cluster's objects use, according to the first control-plane node that answers.
func (c *Client) uses(ctx context.Context, cluster string, members []member) ([]disk.Use, error) {
	err := errStopped
	for _, m := range members {
		if !m.controlPlane || !m.running {
			continue
		}
		var found []disk.Use
		read := func(stdout io.Reader) (err error) {
			found, err = readUses(cluster, stdout)
			return err
		}
		if err = c.run(ctx, m.name, read, usesScript); err == nil {
			return found, nil
		}
	}
	return nil, err
}

// object is what is read of an object in Kubernetes.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
}

// readUses reads the list that kubectl prints, one object after another, because the list may be large.
func readUses(cluster string, list io.Reader) ([]disk.Use, error) {
	tokens := json.NewDecoder(list)
	for {
		token, err := tokens.Token()
		if err != nil {
			return nil, fmt.Errorf("reading the list of pods: %w", err)
		}
		if token == "items" {
			break
		}
	}
	if _, err := tokens.Token(); err != nil { // the bracket
		return nil, err
	}
	var uses []disk.Use
	for tokens.More() {
		var item json.RawMessage
		var read object
		var content any
		if err := tokens.Decode(&item); err != nil {
			return nil, fmt.Errorf("reading the list of pods: %w", err)
		}
		if err := errors.Join(json.Unmarshal(item, &read), json.Unmarshal(item, &content)); err != nil {
			return nil, fmt.Errorf("reading the list of pods: %w", err)
		}
		images := map[string]bool{}
		collect(content, images)
		for _, image := range slices.Sorted(maps.Keys(images)) {
			uses = append(uses, disk.Use{
				Cluster: cluster, Kind: read.Kind, Namespace: read.Metadata.Namespace, Name: read.Metadata.Name, Image: image,
			})
		}
	}
	_, err := tokens.Token() // a list that ends early is incomplete
	return uses, err
}

// collect adds to images the images of containers and image volumes anywhere in an object, and the image IDs in a pod's status.
func collect(content any, images map[string]bool) {
	switch content := content.(type) {
	case []any:
		for _, element := range content {
			collect(element, images)
		}
	case map[string]any:
		for key, value := range content {
			if source, ok := value.(map[string]any); ok && key == "image" { // of an image volume
				value = source["reference"]
			}
			if name, ok := value.(string); ok {
				if (key == "image" || key == "imageID") && name != "" {
					images[name] = true
				}
				continue
			}
			collect(value, images)
		}
	}
}
