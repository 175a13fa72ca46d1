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

// A pod without any right holds 200 connections to the webhook, half of them with a request whose body never comes.
func TestAdmission_RewritesWhileAPodHoldsConnections(t *testing.T) {
	image, want := pushedImage(t, "beside-hostile")
	holds := podSpec(buildProgram(t, "hold"))
	holds.AutomountServiceAccountToken = new(false)
	holds.Containers[0].Args = []string{fmt.Sprintf("%s.%s.svc:443", config.Name, config.Name), "200"}
	createPod(t, "holds", namespace, holds)
	awaitRunning(t, "holds", time.Minute)
	eventually(t, time.Minute, "it holds 200 connections", func(ctx context.Context) string {
		said, err := suite.kube.CoreV1().Pods(namespace).GetLogs("holds", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil || string(said) != "holding 200 <nil>\n" {
			return fmt.Sprintf("%q, %v", said, err)
		}
		return ""
	})
	const deployments = 100
	for i := range deployments {
		d := deployment(fmt.Sprintf("beside-hostile-%d", i), image, 1)
		d.Spec.Template.Labels["beside"] = "hostile"
		d.Spec.Template.Spec.NodeSelector = map[string]string{"no": "node"} // their images are looked at, and not run
		createDeployment(t, d)
	}
	eventually(t, time.Minute, "the pods of all Deployments are rewritten", func(ctx context.Context) string {
		pods, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "beside=hostile"})
		if err != nil {
			return err.Error()
		}
		for i := range pods.Items {
			if got := pods.Items[i].Spec.Containers[0].Image; got != want {
				t.Fatalf("pod %s has %s, want %s", pods.Items[i].Name, got, want)
			}
		}
		if len(pods.Items) != deployments {
			return fmt.Sprintf("%d pods", len(pods.Items))
		}
		return ""
	})
	with := slowest(t, image, want)
	deletePod(t, "holds", namespace) // all else stays, so that the connections are the only difference
	eventually(t, time.Minute, "the pod that holds them is gone", func(ctx context.Context) string {
		if _, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, "holds", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	without := slowest(t, image, want)
	t.Logf("99 of 100 admissions take %s beside it, %s without", with, without)
	if with > 2*without+100*time.Millisecond {
		t.Errorf("99 of 100 admissions take %s, and %s without the connections", with, without)
	}
}

// slowest returns how long all but the slowest of 100 creations of a pod take, one after the other, as dry runs.
func slowest(t *testing.T, image, want string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 100 {
		start := time.Now()
		got, err := admit(t.Context(), suite.kube, image)
		took = append(took, time.Since(start))
		if err != nil || !strings.HasPrefix(got, want) {
			t.Fatalf("a pod would have %s, %v, want %s", got, err, want)
		}
	}
	slices.Sort(took)
	return took[len(took)-2]
}
