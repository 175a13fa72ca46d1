//go:build e2e

package e2e

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRegistry_IsReadOnlyExceptForTheHost(t *testing.T) {
	image := buildProgram(t, "request")
	own := registry + "/e2e/by-hand:local"
	docker(t, "tag", image, own)
	t.Cleanup(func() { removeImage(t, own) })
	docker(t, "push", "-q", own)
	base := "http://" + net.JoinHostPort(address(t, "kind-registry"), "5000") + "/v2/e2e/by-hand"
	args := []string{"GET=" + base + "/manifests/local", "HEAD=" + base + "/manifests/local"}
	want := "GET 200\nHEAD 200\n"
	for _, write := range []string{
		"PUT=" + base + "/manifests/local", "DELETE=" + base + "/manifests/local", "POST=" + base + "/blobs/uploads/",
		"PATCH=" + base + "/blobs/uploads/x", "DELETE=" + base + "/blobs/sha256:" + strings.Repeat("0", 64),
	} {
		method, _, _ := strings.Cut(write, "=")
		args, want = append(args, write), want+method+" 403\n"
	}
	for name, hostNetwork := range map[string]bool{"read-only": false, "read-only-host-network": true} {
		spec := podSpec(image)
		spec.RestartPolicy, spec.HostNetwork, spec.Containers[0].Args = corev1.RestartPolicyNever, hostNetwork, args
		createPod(t, name, namespace, spec)
		if diff := cmp.Diff(want, awaitLog(t, name)); diff != "" {
			t.Errorf("the registry's answers to pod %s (-want +got):\n%s", name, diff)
		}
	}
}

// address returns a container's IP address on the kind network.
func address(t *testing.T, container string) string {
	t.Helper()
	return docker(t, "inspect", "--format", "{{.NetworkSettings.Networks.kind.IPAddress}}", container)
}

// awaitLog waits until the pod has succeeded and returns its log.
func awaitLog(t *testing.T, name string) string {
	t.Helper()
	eventually(t, time.Minute, "pod "+name+" succeeds", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if pod.Status.Phase != corev1.PodSucceeded {
			return describe(pod)
		}
		return ""
	})
	log, err := suite.kube.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("reading the log of pod %s: %v", name, err)
	}
	return string(log)
}
