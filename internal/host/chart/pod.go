package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
)

const (
	// podTimeout is how long a pod may take until it has run.
	podTimeout = time.Minute
	// unschedulableTimeout is how long a pod may wait for a node. A pod that no node accepts never ends.
	unschedulableTimeout = 5 * time.Second
)

// podName is the name of the pod and of its container.
const podName = "doctor"

// errRunning means that the pod has not ended yet.
var errRunning = errors.New("the pod has not ended")

// errUnschedulable means that no node accepts the pod.
var errUnschedulable = errors.New("no node accepts the pod")

// CheckPod creates a pod in a new namespace, waits until it has run, and deletes the namespace. The pod's image is the webhook's, as
// on the host, so the pod runs only if the whole chain works. The pod requests the registry, which shows whether the network of
// pods reaches it.
func (c *Chart) CheckPod(ctx context.Context) (state step.State, err error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return step.State{}, err
	}
	ipv6, err := c.cluster.PrefersIPv6(ctx)
	if err != nil {
		return step.State{}, err
	}
	url, err := c.registry.URLFromPods(ctx, ipv6)
	if err != nil {
		return step.State{}, err
	}
	namespace, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: config.Name + "-doctor-", Labels: map[string]string{"app.kubernetes.io/managed-by": config.Name},
	}}, metav1.CreateOptions{})
	if err != nil {
		return step.State{}, fmt.Errorf("creating a namespace for a pod: %w", err)
	}
	defer func() {
		deleted := kube.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), namespace.Name, metav1.DeleteOptions{})
		err = errors.Join(err, deleted)
	}()
	start := time.Now()
	pod, err := runPod(ctx, kube, namespace.Name, url)
	if err != nil && pod == nil {
		return step.State{}, err
	}
	if err != nil {
		return podState(ctx, kube, pod), nil
	}
	took := time.Since(start).Seconds()
	return step.State{OK: true, Detail: fmt.Sprintf("a pod ran on node %s and reached the registry, after %.1f s", pod.Spec.NodeName, took)}, nil
}

// runPod creates the pod and waits until it has ended. On an error, it returns the pod as it was last seen, or nil if there is none.
func runPod(ctx context.Context, kube kubernetes.Interface, namespace, url string) (*corev1.Pod, error) {
	pods := kube.CoreV1().Pods(namespace)
	var seen *corev1.Pod
	err := step.Poll(ctx, podTimeout, func(ctx context.Context) error {
		created, err := pods.Create(ctx, newPod(url), metav1.CreateOptions{})
		if apierrors.IsForbidden(err) { // a new namespace has no ServiceAccount for a moment
			return err
		}
		if err == nil {
			seen = created
		}
		if apierrors.IsAlreadyExists(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("creating a pod: %w", err)
	}
	start := time.Now()
	ended := errRunning
	err = step.Poll(ctx, podTimeout, func(ctx context.Context) error {
		got, err := pods.Get(ctx, podName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		seen = got
		ended = end(seen, time.Since(start))
		if errors.Is(ended, errRunning) {
			return ended
		}
		return nil
	})
	return seen, errors.Join(err, ended)
}

// end returns nil if the pod has succeeded, errRunning if it may still succeed, and another error otherwise.
func end(pod *corev1.Pod, after time.Duration) error {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded:
		return nil
	case pod.Status.Phase == corev1.PodFailed:
		return errors.New("the pod failed")
	case after > unschedulableTimeout && unschedulable(pod) != "":
		return errUnschedulable
	}
	return errRunning
}

// unschedulable returns why no node accepts the pod, or "".
func unschedulable(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
			return condition.Message
		}
	}
	return ""
}

// newPod returns the pod, which may run in every namespace (Pod Security Standards, restricted).
func newPod(url string) *corev1.Pod {
	yes, no, user := true, false, int64(65532)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, TerminationGracePeriodSeconds: new(int64),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: podName, Image: service.WebhookImage(), Args: []string{"reach", url},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// podState describes why the pod did not run to its end, or why it failed.
func podState(ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod) step.State {
	if pod.Status.Phase == corev1.PodFailed {
		logged, err := kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			logged = []byte(err.Error())
		}
		return step.State{
			Detail: fmt.Sprintf("a pod on node %s failed: %s", pod.Spec.NodeName, strings.TrimSpace(string(logged))),
			Remedy: "see kubectl get networkpolicies -A, and kubectl get pods -n kube-system",
		}
	}
	return step.State{
		Detail: "a pod did not run: " + waitingFor(pod),
		Remedy: "see kubectl get nodes, kubectl get events -A, and kubectl get pods -n kube-system",
	}
}

// waitingFor describes what the pod waits for.
func waitingFor(pod *corev1.Pod) string {
	if gates := pod.Spec.SchedulingGates; len(gates) > 0 {
		return "it has the gate " + gates[0].Name
	}
	if why := unschedulable(pod); why != "" {
		return why
	}
	for _, container := range pod.Status.ContainerStatuses {
		if waiting := container.State.Waiting; waiting != nil {
			return strings.TrimSuffix(waiting.Reason+": "+waiting.Message, ": ")
		}
	}
	return "its phase is " + string(pod.Status.Phase)
}
