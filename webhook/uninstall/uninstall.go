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
	// listPause is the time between two listings of pods. An admission request that was in flight when the configuration was deleted
	// may gate another pod after the first listing.
	listPause = time.Second
	// retryLimit is how long Run tries to ungate pods.
	retryLimit = 20 * time.Second
	// maxConcurrentPatches limits how many pods are ungated concurrently.
	maxConcurrentPatches = 16
)

// ErrPodsLeft is returned if pods still wait for an image because they could not be patched.
var ErrPodsLeft = errors.New("pods are still waiting for an image")

// waitingPod is a pod that waits for an image, and the patch that ungates it.
type waitingPod struct {
	pod   *corev1.Pod
	patch []jsonpatch.Operation
}

// Run deletes our webhook configuration and ungates every pod that waits for an image. It returns the pods that it ungated. If
// one pod cannot be ungated, Run continues with the others. If pods still wait after 20 s, the error is ErrPodsLeft. Run takes at
// least a second.
func Run(ctx context.Context, cluster client.Client, registryHost string) ([]client.ObjectKey, error) {
	configuration := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	if err := cluster.Delete(ctx, configuration); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("deleting webhook configuration %s: %w", config.Name, err)
	}
	var ungated []client.ObjectKey
	for start, first := time.Now(), true; ; first = false {
		pods, err := list(ctx, cluster, registryHost)
		if err != nil || len(pods) == 0 && !first {
			return ungated, err
		}
		more, err := ungateAll(ctx, cluster, pods)
		ungated = append(ungated, more...)
		if time.Since(start) > retryLimit {
			return ungated, err
		}
		select {
		case <-ctx.Done():
			return ungated, errors.Join(context.Cause(ctx), err)
		case <-time.After(listPause):
		}
	}
}

// list returns the pods that wait for an image.
func list(ctx context.Context, cluster client.Client, registryHost string) ([]waitingPod, error) {
	active := &corev1.PodList{}
	if err := cluster.List(ctx, active, client.MatchingFieldsSelector{Selector: podimage.Active()}); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	var pods []waitingPod
	for i := range active.Items {
		pod := &active.Items[i]
		if patch := podimage.Read(pod, registryHost).Restore(); pod.DeletionTimestamp == nil && patch != nil {
			pods = append(pods, waitingPod{pod, patch})
		}
	}
	return pods, nil
}

// ungateAll patches the pods and returns those that it ungated. Patching a pod that has changed since it was listed fails; the
// next listing has its new state. A deleted pod is treated as ungated.
func ungateAll(ctx context.Context, cluster client.Client, pods []waitingPod) ([]client.ObjectKey, error) {
	faults := make([]error, len(pods))
	var group errgroup.Group
	group.SetLimit(maxConcurrentPatches)
	for i, waiting := range pods {
		group.Go(func() error {
			faults[i] = waiting.ungate(ctx, cluster)
			return nil
		})
	}
	_ = group.Wait() // the errors are in faults
	var ungated []client.ObjectKey
	for i, fault := range faults {
		if fault == nil {
			ungated = append(ungated, client.ObjectKeyFromObject(pods[i].pod))
		}
	}
	if len(ungated) == len(pods) {
		return ungated, nil
	}
	return ungated, fmt.Errorf("%w: %w", ErrPodsLeft, errors.Join(faults...))
}

// ungate patches the pod.
func (w waitingPod) ungate(ctx context.Context, cluster client.Client) error {
	data, err := json.Marshal(w.patch)
	if err != nil {
		return fmt.Errorf("writing patch: %w", err)
	}
	if err := cluster.Patch(ctx, w.pod, client.RawPatch(types.JSONPatchType, data)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patching pod %s: %w", client.ObjectKeyFromObject(w.pod), err)
	}
	return nil
}
