package uninstall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/podimage"
)

const (
	// settle is the time between two listings: an admission that was under way when the configuration went may have gated one
	// more pod meanwhile.
	settle = time.Second
	// limit is how long pods that cannot be let go are tried.
	limit = 20 * time.Second
	// workers is how many pods are let go at once.
	workers = 16
)

// ErrPodsLeft says that there are pods which still wait for an image, as they could not be changed.
var ErrPodsLeft = errors.New("pods still wait for an image")

// held is a pod that waits for an image, and the patch that lets it go.
type held struct {
	pod   *corev1.Pod
	patch []jsonpatch.Operation
}

// Release deletes our webhook configuration and lets go every pod that waits for an image. It returns the pods that it let
// go. What fails for one pod does not keep the others; where some are left after 20 s, the error is ErrPodsLeft. It takes a
// second at least.
func Release(ctx context.Context, cluster client.Client, registryHost string) ([]client.ObjectKey, error) {
	configuration := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	if err := cluster.Delete(ctx, configuration); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("deleting webhook configuration %s: %w", config.Name, err)
	}
	var released []client.ObjectKey
	for start, first := time.Now(), true; ; first = false {
		pods, err := list(ctx, cluster, registryHost)
		if err != nil || len(pods) == 0 && !first {
			return released, err
		}
		free, err := letGo(ctx, cluster, pods)
		released = append(released, free...)
		if time.Since(start) > limit {
			return released, err
		}
		select {
		case <-ctx.Done():
			return released, errors.Join(context.Cause(ctx), err)
		case <-time.After(settle):
		}
	}
}

// list returns the pods that wait for an image.
func list(ctx context.Context, cluster client.Client, registryHost string) ([]held, error) {
	active := &corev1.PodList{}
	if err := cluster.List(ctx, active, client.MatchingFieldsSelector{Selector: podimage.Active()}); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	var pods []held
	for i := range active.Items {
		pod := &active.Items[i]
		if patch := podimage.Read(pod, registryHost).Restore(); pod.DeletionTimestamp == nil && patch != nil {
			pods = append(pods, held{pod, patch})
		}
	}
	return pods, nil
}

// letGo patches the pods and returns those that it let go. A pod that is gone is no fault; one that has changed since it was
// listed is, but only until the next listing.
func letGo(ctx context.Context, cluster client.Client, pods []held) ([]client.ObjectKey, error) {
	faults := make([]error, len(pods))
	var group errgroup.Group
	group.SetLimit(workers)
	for i, h := range pods {
		group.Go(func() error {
			faults[i] = h.letGo(ctx, cluster)
			return nil
		})
	}
	_ = group.Wait() // the faults are in their slice
	var free []client.ObjectKey
	for i, fault := range faults {
		if fault == nil {
			free = append(free, client.ObjectKeyFromObject(pods[i].pod))
		}
	}
	if len(free) == len(pods) {
		return free, nil
	}
	return free, fmt.Errorf("%w: %w", ErrPodsLeft, errors.Join(faults...))
}

// letGo patches the pod.
func (h held) letGo(ctx context.Context, cluster client.Client) error {
	data, err := json.Marshal(h.patch)
	if err != nil {
		return fmt.Errorf("writing patch: %w", err)
	}
	if err := cluster.Patch(ctx, h.pod, client.RawPatch(types.JSONPatchType, data)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patching pod %s: %w", client.ObjectKeyFromObject(h.pod), err)
	}
	return nil
}
