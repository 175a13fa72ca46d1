package livepod

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/explain"
	"kind-local-registry/webhook/podimage"
)

// maxConcurrent is how many pods are examined concurrently.
const maxConcurrent = 8

// Explainer explains pods.
type Explainer struct {
	// Cluster is where the pods are.
	Cluster *Cluster
	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string
	// Decisions makes the decisions as if the pods were created now. Its Looker is replaced.
	Decisions explain.Explainer
	// Pusher answers about the host's images. If it is nil, nothing is known about them.
	Pusher Pusher
}

// Explanation explains the pods of one or more targets.
type Explanation struct {
	// Pods are the pods, in the order of the targets.
	Pods []Pod
	// Replicas are the webhook's pods, whose logs were read. There are none if the webhook is not installed.
	Replicas []Replica
	// Empty are the targets that have no pods.
	Empty []Target
}

// Pod is an explained pod.
type Pod struct {
	Found
	// Gated reports whether the pod waits for pushes. Progress describes them, and is "" if the pod is not gated.
	Gated    bool
	Progress string
	// Healed tells how often and when the pod was healed.
	Healed podimage.Healed
	// Images are the pod's image fields.
	Images []Image
}

// Image is an explained image field.
type Image struct {
	Field podimage.Field
	// Original is the original image.
	Original string
	// Rewritten reports whether the field names the registry.
	Rewritten bool
	// Waits reports whether the image still has to be pushed.
	Waits bool
	// Digest is the digest of what the container runs, or "" if it is unknown.
	Digest string
	// State is what the container does. Waiting is the kubelet's reason if it waits.
	State   State
	Waiting string
	// Admission is the newest decision in the webhook's log. If it is nil, Unlogged tells why.
	Admission *Admission
	Unlogged  string
	// Pull is the kubelet's report about an image that it cannot use, or nil.
	Pull *PullFailure
	// Now is the decision as if the pod were created now. It is nil if the host cannot be asked.
	Now *rewrite.Decision
	// Build compares what runs with the host's build.
	Build Build
	// Layers tells how many layers of the host's build the pod's node has. It is nil if the container has started, if layers are not
	// linked, or if the pod has no node.
	Layers *linkapi.NodeLayers

	registryHost string
}

// Explain explains the pods of the targets in the namespace. The error names every target that does not exist; an explanation of the
// others is returned too. If the webhook is not installed, the error is ErrNotInstalled.
func (e *Explainer) Explain(ctx context.Context, namespace string, targets []Target) (Explanation, error) {
	var explanation Explanation
	var faults []error
	for _, target := range targets {
		found, err := e.Cluster.Find(ctx, namespace, target)
		if err == nil && len(found) == 0 {
			explanation.Empty = append(explanation.Empty, target)
		}
		faults = append(faults, err)
		explanation.add(found)
	}
	if len(explanation.Pods) == 0 {
		return explanation, errors.Join(faults...)
	}
	read, err := e.Cluster.journal(ctx, explanation.oldest())
	faults = append(faults, err)
	if errors.Is(err, ErrNotInstalled) {
		read = &journal{} // which has no replicas
	}
	if read != nil {
		explanation.Replicas = read.replicas
	}
	e.examine(ctx, &explanation, read)
	return explanation, errors.Join(faults...)
}

// add adds the pods that the explanation does not have yet.
func (e *Explanation) add(found []Found) {
	known := map[types.UID]bool{}
	for i := range e.Pods {
		known[e.Pods[i].Pod.UID] = true
	}
	for _, one := range found {
		if !known[one.Pod.UID] {
			e.Pods = append(e.Pods, Pod{Found: one})
		}
	}
}

// oldest returns when the oldest pod was created.
func (e *Explanation) oldest() time.Time {
	return slices.MinFunc(e.Pods, func(a, b Pod) int {
		return a.Pod.CreationTimestamp.Compare(b.Pod.CreationTimestamp.Time)
	}).Pod.CreationTimestamp.Time
}

// examine fills in what is known about each pod. read is nil if no log could be read.
func (e *Explainer) examine(ctx context.Context, explanation *Explanation, read *journal) {
	pods := make([]*corev1.Pod, 0, len(explanation.Pods))
	for i := range explanation.Pods {
		pods = append(pods, explanation.Pods[i].Pod)
	}
	known := &answers{pusher: e.Pusher, byName: map[rewrite.Name]rewrite.Presence{}}
	decisions := make([]explain.Explanation, len(pods))
	if e.Pusher != nil {
		e.Decisions.Looker = known
		decisions = e.Decisions.Explain(ctx, pods)
	}
	var group errgroup.Group
	group.SetLimit(maxConcurrent)
	for i := range explanation.Pods {
		group.Go(func() error {
			pod := &explanation.Pods[i]
			e.observe(ctx, pod)
			pod.recall(read)
			if e.Pusher != nil {
				e.compare(ctx, pod, known, decisions[i])
			}
			return nil
		})
	}
	_ = group.Wait() // what cannot be learned about a pod is left out
}

// observe fills in what the API server knows about the pod.
func (e *Explainer) observe(ctx context.Context, pod *Pod) {
	var events []corev1.Event
	if startsLate(pod.Pod) {
		events = e.Cluster.events(ctx, pod.Pod)
	}
	pod.Healed = podimage.ReadHealed(pod.Pod)
	if pod.Gated = podimage.Gated(pod.Pod); pod.Gated {
		pod.Progress = pod.Pod.Annotations[config.ProgressAnnotation]
	}
	read, byPath := podimage.Read(pod.Pod, e.RegistryHost), statuses(pod.Pod)
	waiting := map[string]bool{}
	for _, field := range read.Waiting() {
		waiting[field.Path] = pod.Gated || field.ByBuild
	}
	for _, field := range podimage.All(pod.Pod) {
		status := byPath[field.Path]
		image := Image{Field: field, Original: read.Original(field), registryHost: e.RegistryHost, Build: Unknown}
		image.State, image.Waiting = stateOf(pod.Pod, field, status)
		image.Digest = digestOf(field.Image, image.State, status)
		image.Rewritten = names(field.Image, e.RegistryHost)
		image.Waits = waiting[field.Path] && (image.State == NotStarted || image.State == Waiting)
		image.Pull = failureOf(pod.Pod, field, image.State, status, events)
		pod.Images = append(pod.Images, image)
	}
}

// names reports whether the image's host is the registry.
func names(image, registryHost string) bool {
	name, err := rewrite.Parse(image)
	return err == nil && name.Host() == registryHost
}

// compare fills in the decisions as if the pod were created now, and what the host has.
func (e *Explainer) compare(ctx context.Context, pod *Pod, known *answers, decided explain.Explanation) {
	byPath := map[string]*rewrite.Decision{}
	for i := range decided.Outcomes {
		byPath[decided.Outcomes[i].Field.Path] = &decided.Outcomes[i].Decision
	}
	for i := range pod.Images {
		image := &pod.Images[i]
		if image.Now = byPath[image.Field.Path]; image.Now == nil {
			continue
		}
		image.Build = known.compare(ctx, image)
		if image.Rewritten && pod.Pod.Spec.NodeName != "" && (image.State == NotStarted || image.State == Waiting) {
			image.Layers = e.layers(ctx, pod.Pod.Spec.NodeName, image.Original)
		}
	}
}

// layers returns how many layers of the host's build the node has, or nil if that is unknown.
func (e *Explainer) layers(ctx context.Context, node, original string) *linkapi.NodeLayers {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	nodes, err := e.Pusher.NodeLayers(ctx, original)
	if err != nil {
		return nil
	}
	for i := range nodes {
		if nodes[i].Name == node {
			return &nodes[i]
		}
	}
	return nil
}
