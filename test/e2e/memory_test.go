//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWebhook_StaysSmallUnder200ConcurrentCreations(t *testing.T) {
	image := buildImage(t, "e2e/crowd:local", "hello")
	command(t, suite.setup, "push", image)
	const rounds, callers, limit = 5, 200, 64 << 10 // KiB
	for range rounds {
		var creating sync.WaitGroup
		for i := range callers {
			creating.Go(func() {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("crowd-%d", i)}, Spec: podSpec(image)}
				made, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					t.Error(err)
				} else if got := made.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@") {
					t.Errorf("image of a pod = %s, want it rewritten", got)
				}
			})
		}
		creating.Wait()
	}
	peak := webhookPeak(t)
	t.Logf("peak memory of the webhook: %d KiB", peak)
	if peak > limit {
		t.Errorf("peak memory of the webhook = %d KiB, want at most %d", peak, limit)
	}
}

// webhookPeak returns the webhook process's peak memory in KiB, VmHWM in proc_pid_status(5).
func webhookPeak(t *testing.T) int {
	t.Helper()
	out := onWebhookProcess(t, `sed -n 's/VmHWM: *\t* *//p' $p/status`)
	kib, err := strconv.Atoi(strings.Fields(out)[0])
	if err != nil {
		t.Fatalf("reading %q: %v", out, err)
	}
	return kib
}

// onWebhookProcess runs a shell command for each webhook process, on the process's node and with $p set to the process's
// directory /proc/PID. It returns the output and fails the test if the output is empty.
func onWebhookProcess(t *testing.T, command string) string {
	t.Helper()
	find := `for p in /proc/[0-9]*; do if tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/webhook serve'; then ` + command + `; fi; done`
	var printed strings.Builder
	for _, node := range strings.Fields(docker(t, "ps", "-q", "--filter", "label=io.x-k8s.kind.cluster="+clusterName)) {
		printed.WriteString(docker(t, "exec", node, "sh", "-c", find))
	}
	if printed.Len() == 0 {
		t.Fatalf("no webhook process, or no output from %s", command)
	}
	return printed.String()
}
