//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// publicImages are images of ordinary pods.
var publicImages = []string{
	"nginx", "nginx:1.29", "redis:8-alpine", "postgres:17", "busybox:1.37", "registry.k8s.io/pause:3.10",
	"registry.k8s.io/coredns/coredns:v1.13.1", "quay.io/jetstack/cert-manager-controller:v1.20.0",
	"ghcr.io/fluxcd/source-controller:v1.7.0", "docker.io/kindest/local-path-provisioner:v2",
	"mcr.microsoft.com/dotnet/aspnet:9.0", "gcr.io/distroless/static:nonroot", "bitnami/kafka:4",
}

// applyPod applies the pod with kubectl and returns what kubectl prints.
func applyPod(t *testing.T, name string, spec corev1.PodSpec, args ...string) string {
	t.Helper()
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: spec,
	}
	t.Cleanup(func() { deletePod(t, name, namespace) })
	return kubectlApply(t, pod, args...)
}

// kubectlApply applies the object with kubectl and returns what kubectl prints.
func kubectlApply(t *testing.T, object any, args ...string) string {
	t.Helper()
	manifest, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "kubectl", append([]string{"--kubeconfig", suite.kubeconfig, "apply", "-f", "-"}, args...)...)
	cmd.Stdin = strings.NewReader(string(manifest))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	return string(out)
}

func TestTypingError_NoWarningAboutPublicImages(t *testing.T) {
	buildImage(t, "e2e/typing-service:local", "hello")
	spec := podSpec(publicImages[0])
	for i, image := range append(publicImages[1:], "e2e/typing-service:v1", "e2e/typing-service") {
		spec.Containers = append(spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	if out := applyPod(t, "typing-public", spec, "--dry-run=server"); strings.Contains(out, "Warning") {
		t.Errorf("kubectl apply of a pod with public images prints\n%s", out)
	}
}

func TestTypingError_WarnsAboutADeployment(t *testing.T) {
	meant, wrong := buildImage(t, "e2e/typing-service:local", "hello"), "e2e/typing-servise:local"
	warning := "Warning: kind-local-registry: the host has no " + wrong + "; did you mean " + meant + "?"
	for image, want := range map[string]string{wrong: warning, meant: "", "nginx:1.29": ""} {
		d := deployment("typing", image, 1)
		d.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
		out := kubectlApply(t, d, "--dry-run=server")
		if !strings.Contains(out, want) || want == "" && strings.Contains(out, "Warning") {
			t.Errorf("kubectl apply of a Deployment of %s prints\n%s\nwant %q", image, out, want)
		}
	}
}

func TestTypingError_IsReportedAndHealed(t *testing.T) {
	meant, wrong := buildImage(t, "e2e/typing-service:local", "hello"), "e2e/typing-servcie:local"
	question := "did you mean " + meant + "?"
	explanation := "the host has no " + wrong + "; " + question
	if out := applyPod(t, "typing", podSpec(wrong)); !strings.Contains(out, "Warning: kind-local-registry: "+explanation) {
		t.Errorf("kubectl apply prints\n%s\nwant a warning with %q", out, explanation)
	}
	if out := setupExplain(t, "", wrong); !strings.Contains(out, question) {
		t.Errorf("setup explain %s prints\n%s\nwant %q", wrong, out, question)
	}
	wantLogged(t, "typing", `"reason":"NotOnHost"`, question)
	eventually(t, time.Minute, "the pod has an Event", func(ctx context.Context) string { return checkDescribed(ctx, explanation) })
	restarts := count(0, 10)
	for range restarts {
		scale(t, 0)
		scale(t, 1)
	}
	buildImage(t, wrong, "hello") // the kubelet's next failure lets the pod be healed
	if restarts > 0 {             // that failure is minutes away by now, but a new process heals every pod that cannot pull
		scale(t, 0)
		scale(t, 1)
	}
	awaitRunning(t, "typing", time.Minute)
	if problem := checkDescribed(t.Context(), explanation); problem != "" {
		t.Errorf("after the pod was healed: %s", problem)
	}
}

// checkDescribed returns "" if kubectl describe prints exactly one Event with the explanation for the pod typing.
func checkDescribed(ctx context.Context, explanation string) string {
	out, err := exec.CommandContext(ctx, "kubectl", "--kubeconfig", suite.kubeconfig, "describe", "pod", "typing").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	if n := strings.Count(string(out), "The"+strings.TrimPrefix(explanation, "the")); n != 1 {
		return fmt.Sprintf("%d Events with %q, want 1, in:\n%s", n, explanation, out)
	}
	return ""
}
