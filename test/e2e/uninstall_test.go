//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// uninstallTimeout is how long an uninstall may take.
const uninstallTimeout = time.Minute

// TestUninstall_InAnyOrderUngatesPodsAndLeavesNothing uninstalls the webhook while pods are gated, with the steps in the orders that a
// user may choose. Our namespace is deleted either first or last. Without E2E_FULL, two of the orders are chosen at random.
func TestUninstall_InAnyOrderUngatesPodsAndLeavesNothing(t *testing.T) {
	orders := map[string]func(t *testing.T){
		"the chart first":     func(t *testing.T) { installedRelease(t).uninstall(t) },
		"the namespace first": func(*testing.T) {},
		"the webhook's pods first": func(t *testing.T) {
			kubectl(t, "delete", "pods", "--namespace", ours, "--all", "--force", "--grace-period=0")
			installedRelease(t).uninstall(t)
		},
		"the webhook, then the chart": func(t *testing.T) {
			scale(t, 0)
			installedRelease(t).uninstall(t)
		},
	}
	for _, name := range shuffled(newRandom(t), orders)[:count(2, len(orders))] {
		t.Run(name, func(t *testing.T) {
			upAfterwards(t)
			pods := waitingPods(t, 5)
			start := time.Now()
			orders[name](t)
			kubectl(t, "delete", "namespace", ours, "--wait=false")
			for _, pod := range pods {
				awaitRestored(t, pod, uninstallTimeout-time.Since(start))
			}
			wantChartGone(t, uninstallTimeout-time.Since(start))
			t.Logf("uninstalled within %s", time.Since(start).Round(time.Second))
			wantUnexplained(t, "the webhook is not installed in kind cluster "+clusterName+", so no pod is rewritten; run setup up", "pod/"+pods[0])
		})
	}
}

func kubectl(t *testing.T, args ...string) {
	t.Helper()
	command(t, "kubectl", append([]string{"--kubeconfig", suite.kubeconfig}, args...)...)
}

// waitingPods creates gated pods, like those that wait for a push after admission, and returns their names. The push does not
// end, because the pusher is paused until the test ends.
func waitingPods(t *testing.T, n int) []string {
	t.Helper()
	docker(t, "pause", config.PusherContainer)
	t.Cleanup(func() { _, _ = backgroundCommand("docker", "unpause", config.PusherContainer) })
	var names []string
	for i := range n {
		name := fmt.Sprintf("waiting-%d", i)
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
				config.OriginalsAnnotation: `{"spec.containers{app}":"` + waitingImage + `"}`,
			}},
			Spec: podSpec(registry + "/" + waitingImage),
		}
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: config.Gate}}
		if _, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { deletePod(t, name, namespace) })
		names = append(names, name)
	}
	return names
}

// waitingImage is the original image of the pods that waitingPods creates.
const waitingImage = "e2e/waiting:local"

// awaitRestored waits until the pod is ungated and has its original image.
func awaitRestored(t *testing.T, name string, limit time.Duration) {
	t.Helper()
	eventually(t, limit, "pod "+name+" is ungated with its original image", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(pod.Spec.SchedulingGates) > 0 || pod.Spec.Containers[0].Image != waitingImage {
			return describe(pod)
		}
		return ""
	})
}

// wantChartGone waits until none of the chart's objects is left, inside or outside our namespace.
func wantChartGone(t *testing.T, limit time.Duration) {
	t.Helper()
	named := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + ours}
	eventually(t, limit, "all objects of the chart are deleted", func(ctx context.Context) string {
		hooks, err := suite.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil || len(hooks.Items) > 0 {
			return fmt.Sprintf("%d webhook configurations, %v", len(hooks.Items), err)
		}
		roles, err := suite.kube.RbacV1().ClusterRoles().List(ctx, named)
		if err != nil || len(roles.Items) > 0 {
			return fmt.Sprintf("%d ClusterRoles, %v", len(roles.Items), err)
		}
		bindings, err := suite.kube.RbacV1().ClusterRoleBindings().List(ctx, named)
		if err != nil || len(bindings.Items) > 0 {
			return fmt.Sprintf("%d ClusterRoleBindings, %v", len(bindings.Items), err)
		}
		policies, err := suite.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(ctx, named)
		if err != nil || len(policies.Items) > 0 {
			return fmt.Sprintf("%d ValidatingAdmissionPolicies, %v", len(policies.Items), err)
		}
		bound, err := suite.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(ctx, named)
		if err != nil || len(bound.Items) > 0 {
			return fmt.Sprintf("%d ValidatingAdmissionPolicyBindings, %v", len(bound.Items), err)
		}
		if _, err := suite.kube.CoreV1().Namespaces().Get(ctx, ours, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("namespace %s: %v", ours, err)
		}
		return ""
	})
}
