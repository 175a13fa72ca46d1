//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// A pod without any rights keeps 200 connections to the webhook open, half of them with a request whose body never arrives.
func TestAdmission_RewritesWhileAPodHoldsConnections(t *testing.T) {
	image, want := pushedImage(t, "beside-hostile")
	hostile := podSpec(buildProgram(t, "connect"))
	hostile.AutomountServiceAccountToken = new(false)
	hostile.Containers[0].Args = []string{fmt.Sprintf("%s.%s.svc:443", config.Name, config.Name), "200"}
	createPod(t, "hostile", namespace, hostile)
	awaitRunning(t, "hostile", time.Minute)
	eventually(t, time.Minute, "it has 200 open connections", func(ctx context.Context) string {
		said, err := suite.kube.CoreV1().Pods(namespace).GetLogs("hostile", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil || string(said) != "connected 200 <nil>\n" {
			return fmt.Sprintf("%q, %v", said, err)
		}
		return ""
	})
	deployments := count(30, 100)
	for i := range deployments {
		d := deployment(fmt.Sprintf("beside-hostile-%d", i), image, 1)
		d.Spec.Template.Labels["beside"] = "hostile"
		d.Spec.Template.Spec.NodeSelector = map[string]string{"no": "node"} // the pods need not run: only their images are checked
		createDeployment(t, d)
	}
	eventually(t, time.Minute, "the pods of all Deployments are rewritten", func(ctx context.Context) string {
		pods, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "beside=hostile"})
		if err != nil {
			return err.Error()
		}
		for i := range pods.Items {
			if got := pods.Items[i].Spec.Containers[0].Image; got != want {
				t.Fatalf("image of pod %s = %s, want %s", pods.Items[i].Name, got, want)
			}
		}
		if len(pods.Items) != deployments {
			return fmt.Sprintf("%d pods", len(pods.Items))
		}
		return ""
	})
	with := p99Admission(t, image, want)
	deletePod(t, "hostile", namespace) // keep the Deployments, so that only the connections differ
	eventually(t, time.Minute, "the hostile pod is deleted", func(ctx context.Context) string {
		if _, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, "hostile", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	without := p99Admission(t, image, want)
	t.Logf("p99 of admissions: %s with the connections, %s without", with, without)
	if with > 2*without+100*time.Millisecond {
		t.Errorf("p99 of admissions = %s with the connections and %s without, want at most twice that and 100 ms", with, without)
	}
}

// p99Admission returns the p99 latency of 100 sequential dry-run creations of a pod.
func p99Admission(t *testing.T, image, want string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 100 {
		start := time.Now()
		got, err := dryRun(t.Context(), suite.kube, image)
		took = append(took, time.Since(start))
		if err != nil || !strings.HasPrefix(got, want) {
			t.Fatalf("dryRun() = %s, %v, want %s", got, err, want)
		}
	}
	slices.Sort(took)
	return took[len(took)-2]
}
