//go:build e2e

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

var update = flag.Bool("update", false, "write the golden files of setup explain KIND/NAME")

func TestExplainPod_ExplainsEachReason(t *testing.T) {
	switchLinkingOff(t) // with linking, a new image is promised, and the reason is Rewritten
	present := presentImage(t)
	uncached := buildImage(t, "e2e/why-uncached:local", "hello")
	made := map[string]string{}              // the pods by reason
	made["NoSpace"] = noSpacePod(t, present) // first, because it restarts the registry, from which the other pods pull
	for reason, one := range reasonPods(t, present, "why") {
		made[reason] = one.create(t, reason).Name
	}
	made["Kept"] = keptPod(t, present)
	made["MirrorPod"] = mirrorPod(t, registry+"/"+present)
	made["LoopGuard"] = loopGuardedPod(t, present).Name
	if pod := wrongPlatformPod(t); pod != "" {
		made["WrongPlatform"] = pod
	}
	for reason, pod := range made {
		awaitSettled(t, pod)
		wantExplained(t, reason, "pod/"+pod)
	}
	explainFromPreviousLog(t, "Rewritten", "pod/"+made["Rewritten"])
	explainGated(t) // which replaces the webhook's pod
	wantExplained(t, "unlogged", "pod/"+made["Rewritten"])
	made["LookupUnavailable"] = "why-lookupunavailable"
	explainWithoutPusher(t, uncached)
	for _, reason := range rewrite.Reasons() {
		switch _, found := made[string(reason)]; {
		case found:
		case reason == rewrite.WrongPlatform:
			t.Log("SKIP WrongPlatform: Docker does not use the containerd image store")
		default:
			t.Errorf("no pod has the reason %s", reason)
		}
	}
}

// explainFromPreviousLog kills the webhook. The decision is then in the log of the container's previous instance.
func explainFromPreviousLog(t *testing.T, golden, object string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", "explainpod", golden+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	killWebhook(t, func() {})
	eventually(t, time.Minute, "the webhook has restarted, and the pod is explained from its previous log", func(ctx context.Context) string {
		replicas, err := suite.kube.CoreV1().Pods(ours).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + ours})
		if err != nil {
			return err.Error()
		}
		for i := range replicas.Items {
			if status := replicas.Items[i].Status.ContainerStatuses; len(status) == 0 || status[0].RestartCount == 0 {
				return describe(&replicas.Items[i]) + " has not restarted"
			}
		}
		return cmp.Diff(string(want), explainObjects(context.WithoutCancel(ctx), t, 0, object))
	})
}

// explainGated explains a pod that waits for a push.
func explainGated(t *testing.T) {
	t.Helper()
	image := buildImage(t, "e2e/why-gated:local", "hello")
	resume := pauseDelivery(t)
	createPod(t, "why-gated", namespace, podSpec(image))
	wantExplained(t, "gated", "pod/why-gated")
	resume()
	awaitRunning(t, "why-gated", time.Minute)
}

// keptPod creates a pod whose image is rewritten, and then updates it with the original image, as kubectl apply does.
func keptPod(t *testing.T, image string) string {
	t.Helper()
	pod, _ := createPod(t, "why-kept", namespace, podSpec(image))
	patch := `[{"op":"replace","path":"/spec/containers/0/image","value":"` + image + `"}]`
	if _, err := suite.kube.CoreV1().Pods(namespace).Patch(t.Context(), pod.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	return pod.Name
}

// mirrorPod creates a static pod on the control plane, and returns the name of its mirror.
func mirrorPod(t *testing.T, image string) string {
	t.Helper()
	const path = "/etc/kubernetes/manifests/why-mirrorpod.yaml"
	manifest := "apiVersion: v1\nkind: Pod\nmetadata: {name: why-mirrorpod, namespace: default}\n" +
		"spec: {terminationGracePeriodSeconds: 0, containers: [{name: app, image: \"" + image + "\"}]}\n"
	write := exec.CommandContext(t.Context(), "docker", "exec", "-i", controlPlane, "cp", "/dev/stdin", path)
	write.Stdin = strings.NewReader(manifest)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("writing the static pod: %v\n%s", err, out)
	}
	name := "why-mirrorpod-" + controlPlane
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "exec", controlPlane, "rm", "-f", path); err != nil {
			t.Errorf("removing the static pod: %v\n%s", err, out)
		}
	})
	return name
}

// explainWithoutPusher explains a pod that was created while the pusher was away: before the pusher is back, and after the pod was
// healed.
func explainWithoutPusher(t *testing.T, image string) {
	t.Helper()
	docker(t, "stop", "-t", "2", config.PusherContainer)
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "start", config.PusherContainer); err != nil {
			t.Errorf("starting the pusher: %v\n%s", err, out)
		}
		eventuallyRewrites(t)
	})
	createPod(t, "why-lookupunavailable", namespace, podSpec(image))
	awaitSettled(t, "why-lookupunavailable")
	wantExplainedWith(t, "LookupUnavailable-away", 1, "pod/why-lookupunavailable")
	docker(t, "start", config.PusherContainer)
	awaitRunning(t, "why-lookupunavailable", time.Minute)
	wantExplained(t, "LookupUnavailable-healed", "pod/why-lookupunavailable")
}

// awaitSettled waits until each container of the pod runs, has ended, or cannot get its image.
func awaitSettled(t *testing.T, name string) {
	t.Helper()
	eventually(t, 90*time.Second, "pod "+name+" is settled", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		return unsettled(pod)
	})
}

// unsettled describes the pod if one of its containers neither runs, has ended, nor cannot get its image.
func unsettled(pod *corev1.Pod) string {
	all := append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...)
	if len(all) == 0 {
		return describe(pod)
	}
	for _, status := range all {
		waiting := status.State.Waiting
		if waiting != nil && !strings.Contains(waiting.Reason, "Image") {
			return describe(pod)
		}
	}
	return ""
}

// wantExplained compares what setup explain prints about objects with testdata/explainpod/GOLDEN.txt.
func wantExplained(t *testing.T, golden string, objects ...string) {
	t.Helper()
	wantExplainedWith(t, golden, 0, objects...)
}

// wantExplainedWith is like wantExplained, for a run that ends with the exit status. It waits until the kubelet has written its Events.
func wantExplainedWith(t *testing.T, golden string, status int, objects ...string) {
	t.Helper()
	path := filepath.Join("testdata", "explainpod", golden+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(explainObjects(t.Context(), t, status, objects...)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "setup explain "+strings.Join(objects, " ")+" prints "+path+" (-want +got)", func(ctx context.Context) string {
		return cmp.Diff(string(want), explainObjects(context.WithoutCancel(ctx), t, status, objects...))
	})
}

// explainObjects runs setup explain about objects and returns what it prints, without what differs between runs.
func explainObjects(ctx context.Context, t *testing.T, status int, objects ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, suite.setup, append([]string{"explain", "--cluster", clusterName}, objects...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != status {
		t.Fatalf("setup explain %s: %v, want exit status %d\n%s%s", strings.Join(objects, " "), err, status, stdout.String(), stderr.String())
	}
	t.Logf("setup explain %s\n%s%s", strings.Join(objects, " "), stdout.String(), stderr.String())
	return normalised(stdout.String())
}

// differences replaces what differs between runs: wrapped lines, ages, names of nodes and replicas, builds, and words of the kubelet and
// the registry.
var differences = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\n {14}`), " "},
	{regexp.MustCompile(`(about an?|less than a|\d+) (second|minute|hour)s?( to (about an?|less than a|\d+) (second|minute|hour)s?)? ago`), "AGO"},
	{regexp.MustCompile(clusterName + `-(control-plane|worker)( \(\d\))?`), "NODE"},
	{regexp.MustCompile(`NODE, NODE`), "NODES"},
	{regexp.MustCompile(` by ` + ours + `-[a-z0-9]+-[a-z0-9]+`), ""},
	{regexp.MustCompile(`(:[a-z]+)-[0-9a-f]{12}\b`), "$1-BUILD"},
	{regexp.MustCompile(`\b(owned-cronjob-now|owned-[a-z]+)-[a-z0-9]{5}\b`), "$1-ID"},
	{regexp.MustCompile(`ErrImagePull|ImagePullBackOff`), "NOT PULLED"},
	{regexp.MustCompile(`(Failed to pull image "[^"]*"|Back-off pulling image "[^"]*"): .*`), "$1: CAUSE"},
	{regexp.MustCompile(`the lookup failed: .*`), "the lookup failed: CAUSE"},
	{regexp.MustCompile(`a disk is full: .*`), "a disk is full: CAUSE"},
}

// shownDigest matches a digest in the form in which setup prints it.
var shownDigest = regexp.MustCompile(`sha256:[0-9a-f]{12}(…|[0-9a-f]{52})`)

// normalised returns the text without what differs between runs. Digests are numbered, so that equal ones stay equal.
func normalised(text string) string {
	for _, difference := range differences {
		text = difference.pattern.ReplaceAllString(text, difference.text)
	}
	numbers := map[string]int{}
	return shownDigest.ReplaceAllStringFunc(text, func(digest string) string {
		short := digest[:len("sha256:")+12]
		if numbers[short] == 0 {
			numbers[short] = len(numbers) + 1
		}
		return fmt.Sprintf("DIGEST%d", numbers[short])
	})
}
