//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestRebuild_IsPushedBeforeAPodNeedsIt(t *testing.T) {
	const name = "prepushed"
	image := buildImage(t, "e2e/prepushed:local", "first build")
	createDeployment(t, deployment(name, image, 2))
	first := awaitPods(t, name, 2, "")[0]

	buildImage(t, image, "second build", 20)
	eventually(t, time.Minute, "the second build is in the registry", explained(image, " Rewritten"))
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	if _, err := suite.kube.AppsV1().Deployments(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(restart), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, pod := range awaitPods(t, name, 2, first.Spec.Containers[0].Image) {
		wantLogged(t, pod.Name, `"reason":"Rewritten"`) // for a gated pod, the reason would be RewrittenPushing
		if got := proxy(t, pod.Name); !strings.HasPrefix(got, "second build") {
			t.Errorf("pod %s answers %q, want \"second build\" first", pod.Name, got)
		}
	}
}

// explained returns a check that setup explain prints the text about the image.
func explained(image, text string) func(context.Context) string {
	return func(ctx context.Context) string {
		out, err := exec.CommandContext(ctx, suite.setup, "explain", "--cluster", clusterName, image).CombinedOutput()
		if err != nil || !strings.Contains(string(out), text) {
			return fmt.Sprintf("%v: %s", err, out) // a killed command prints nothing
		}
		return ""
	}
}
