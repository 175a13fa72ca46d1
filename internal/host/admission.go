package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// admissionTimeout is how long it may take until pods are rewritten: a chart that is just installed has to be known to the
// API server, and a certificate for the pusher that is just made anew to the webhook, to which the kubelet brings it within
// a minute and a half.
const admissionTimeout = 2 * time.Minute

// admissionStep changes nothing: it is the proof, through the API server, that a pod created now is rewritten.
func (s *System) admissionStep() Step {
	return Step{Name: "admission", InCluster: true, Check: s.checkAdmission, Apply: s.awaitAdmission}
}

func (s *System) checkAdmission(ctx context.Context) (State, error) {
	image, took, err := s.admitProbe(ctx)
	if errors.Is(err, errNoCluster) {
		return State{Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	if !strings.HasPrefix(image, s.registryHost()+"/") {
		return State{Detail: "a pod created now would not be rewritten", Remedy: fmt.Sprintf(
			"see kubectl logs deploy/%s -n %s", config.Name, config.Name)}, nil
	}
	return State{OK: true, Detail: fmt.Sprintf("a dry-run pod was rewritten in %d ms", took.Milliseconds())}, nil
}

func (s *System) awaitAdmission(ctx context.Context, progress Progress) error {
	progress("waiting for the API server to call the webhook")
	return poll(ctx, admissionTimeout, func(ctx context.Context) error {
		state, err := s.checkAdmission(ctx)
		if err == nil && !state.OK {
			err = remedy(errors.New(state.Detail), state.Remedy)
		}
		return err
	})
}

// admitProbe creates a pod of the webhook's own image, which host and registry surely hold, as a server-side dry run, and
// returns the image that it would run, and how long the API server took.
func (s *System) admitProbe(ctx context.Context) (image string, took time.Duration, err error) {
	kube, err := s.kube()
	if err != nil {
		return "", 0, err
	}
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: config.Name + "-probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: webhookImage()}}},
	}
	start := time.Now()
	admitted, err := kube.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", 0, fmt.Errorf("creating a pod as a dry run: %w", err)
	}
	return admitted.Spec.Containers[0].Image, time.Since(start), nil
}
