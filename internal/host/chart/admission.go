package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
)

// admissionTimeout is how long it may take until pods are rewritten. The API server must notice the new webhook configuration,
// and the kubelet may take a minute and a half to deliver a renewed pusher certificate to the webhook if refreshVolumes fails.
const admissionTimeout = 2 * time.Minute

// AdmissionStep returns the step that proves that a pod created now would be rewritten. The step changes nothing.
func (c *Chart) AdmissionStep() step.Step {
	return step.Step{Name: "admission", InCluster: true, Check: c.checkAdmission, Apply: c.awaitAdmission}
}

func (c *Chart) checkAdmission(ctx context.Context) (step.State, error) {
	image, took, err := c.admitProbe(ctx)
	if errors.Is(err, cluster.ErrNotFound) {
		return step.State{Detail: err.Error()}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	if !strings.HasPrefix(image, c.registry.Host()+"/") {
		return step.State{Detail: "a pod created now would not be rewritten", Remedy: fmt.Sprintf(
			"see kubectl logs deploy/%s -n %s", config.Name, config.Name)}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("a dry-run pod was rewritten in %d ms", took.Milliseconds())}, nil
}

func (c *Chart) awaitAdmission(ctx context.Context, progress step.Progress) error {
	progress("waiting for the API server to call the webhook")
	var refreshed time.Time
	return step.Poll(ctx, admissionTimeout, func(ctx context.Context) error {
		state, err := c.checkAdmission(ctx)
		if err != nil || state.OK {
			return err
		}
		if time.Since(refreshed) >= refreshPause {
			refreshed = time.Now()
			_ = c.refreshVolumes(ctx) // perhaps the webhook has an old certificate; after an error, it gets the new one later
		}
		return step.Remedy(errors.New(state.Detail), state.Remedy)
	})
}

// admitProbe creates a dry-run pod; see admit.
func (c *Chart) admitProbe(ctx context.Context) (image string, took time.Duration, err error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return "", 0, err
	}
	return admit(ctx, kube)
}

// admit creates a pod in a server-side dry run. The pod's image is the webhook's own, which is present both on the host and in the
// registry. It returns the image that the pod would run, and how long the API server took.
func admit(ctx context.Context, kube kubernetes.Interface) (image string, took time.Duration, err error) {
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: config.Name + "-probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: service.WebhookImage()}}},
	}
	start := time.Now()
	admitted, err := kube.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", 0, fmt.Errorf("creating a dry-run pod: %w", err)
	}
	return admitted.Spec.Containers[0].Image, time.Since(start), nil
}
