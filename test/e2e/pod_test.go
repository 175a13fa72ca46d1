//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backgroundCommand runs a command independently of any test's context, for example in a cleanup, and returns its output.
func backgroundCommand(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// podSpec returns the spec of an ordinary pod with one container that can run on every node.
func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{
		Containers:                    []corev1.Container{{Name: "app", Image: image, ImagePullPolicy: corev1.PullIfNotPresent}},
		Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
		TerminationGracePeriodSeconds: new(int64),
	}
}

// createPod creates a pod. It returns the stored pod and how long its creation took.
func createPod(t *testing.T, name, ns string, spec corev1.PodSpec) (*corev1.Pod, time.Duration) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: spec}
	start := time.Now()
	created, err := suite.kube.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating pod %s: %v", name, err)
	}
	took := time.Since(start)
	t.Cleanup(func() { deletePod(t, name, ns) })
	return created, took
}

func deletePod(t *testing.T, name, ns string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = suite.kube.CoreV1().Pods(ns).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
}

// awaitRunning waits until the pod's phase is Running, and returns the pod.
func awaitRunning(t *testing.T, name string, limit time.Duration) *corev1.Pod {
	t.Helper()
	var running *corev1.Pod
	eventually(t, limit, "pod "+name+" runs", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if pod.Status.Phase != corev1.PodRunning {
			return describe(pod)
		}
		running = pod
		return ""
	})
	return running
}

// describe returns a pod's state on one line, for a failure message.
func describe(pod *corev1.Pod) string {
	parts := []string{string(pod.Status.Phase), pod.Spec.Containers[0].Image}
	for _, gate := range pod.Spec.SchedulingGates {
		parts = append(parts, "gate "+gate.Name)
	}
	for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		if waiting := status.State.Waiting; waiting != nil {
			parts = append(parts, status.Name+" "+waiting.Reason+" "+waiting.Message)
		}
	}
	return strings.Join(parts, "; ")
}

// deployment returns a Deployment whose pods are spread over the nodes.
func deployment(name, image string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	spec := podSpec(image)
	spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
	}}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// createDeployment creates the Deployment, which is deleted when the test ends.
func createDeployment(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	if _, err := suite.kube.AppsV1().Deployments(namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating Deployment %s: %v", d.Name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = suite.kube.AppsV1().Deployments(namespace).Delete(ctx, d.Name, metav1.DeleteOptions{})
	})
}

// awaitPods waits until exactly n pods with the label app=NAME exist and all of them are running an image other than the one in
// not. It returns the pods.
func awaitPods(t *testing.T, name string, n int, not string) []corev1.Pod {
	t.Helper()
	return awaitPodsWithin(t, 2*time.Minute, name, n, not)
}

// awaitPodsWithin is like awaitPods, with a time limit.
func awaitPodsWithin(t *testing.T, limit time.Duration, name string, n int, not string) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, limit, fmt.Sprintf("%d pods of %s run", n, name), func(ctx context.Context) string {
		list, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err.Error()
		}
		if len(list.Items) != n {
			return fmt.Sprintf("%d pods", len(list.Items))
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.Status.Phase != corev1.PodRunning || pod.Spec.Containers[0].Image == not {
				return describe(pod)
			}
		}
		pods = list.Items
		return ""
	})
	return pods
}

// proxy sends a request to the pod through the API server and returns the pod's answer.
func proxy(t *testing.T, pod string) string {
	t.Helper()
	var answer string
	eventually(t, 30*time.Second, "pod "+pod+" answers", func(ctx context.Context) string {
		body, err := suite.kube.CoreV1().Pods(namespace).ProxyGet("http", pod, "8080", "/", nil).DoRaw(ctx)
		if err != nil {
			return err.Error()
		}
		answer = string(body)
		return ""
	})
	return answer
}
