//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
)

// TestLog_ExplainsAPodByItsFullName takes a pod's name from kubectl get pods and searches the log for it, as a user would.
func TestLog_ExplainsAPodByItsFullName(t *testing.T) {
	image := buildImage(t, "e2e/named:local", "hello")
	d := deployment("named", image, 1)
	d.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: image, Args: []string{"--once"}}}
	createDeployment(t, d)
	pod := awaitPods(t, "named", 1, "")[0]
	for _, field := range []string{"spec.containers{app}", "spec.initContainers{prepare}"} {
		wantLogged(t, pod.Name, `"field":"`+field+`"`, `"image":"`+image+`"`, `"reason":"Rewritten`) // or RewrittenPushing, without a promise
	}
	deployed := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	if _, err := suite.kube.AppsV1().Deployments(namespace).Patch(t.Context(), "named", types.StrategicMergePatchType, []byte(deployed), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the log explains the second pod", func(ctx context.Context) string {
		list, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=named"})
		if err != nil {
			return err.Error()
		}
		for _, second := range list.Items {
			if second.Name != pod.Name {
				return checkLogged(ctx, second.Name, `"reason":"Rewritten"`)
			}
		}
		return "no second pod"
	})
}

// TestLog_ExplainsEachReason creates a pod for each reason that can occur in a cluster. It omits WrongPlatform, because Docker's
// own store refuses images for other platforms, and MirrorPod, because the API server does not call the webhook for mirror pods.
func TestLog_ExplainsEachReason(t *testing.T) {
	switchLinkingOff(t) // with linking, the new image is promised, and the reason is Rewritten
	present := presentImage(t)
	uncached := buildImage(t, "e2e/why-uncached:local", "hello") // not looked up before, because the webhook caches lookups for a second
	for reason, one := range reasonPods(t, present, "log") {
		t.Run(reason, func(t *testing.T) {
			pod := one.create(t, reason)
			wantLogged(t, pod.Name, `"image":"`+one.image+`"`, `"reason":"`+reason+`"`)
		})
	}
	t.Run("LookupUnavailable", func(t *testing.T) {
		docker(t, "stop", "-t", "2", config.PusherContainer)
		t.Cleanup(func() {
			if out, err := backgroundCommand("docker", "start", config.PusherContainer); err != nil {
				t.Errorf("starting the pusher: %v\n%s", err, out)
			}
			eventuallyRewrites(t)
		})
		createPod(t, "why-lookupunavailable", namespace, podSpec(uncached))
		wantLogged(t, "why-lookupunavailable", `"reason":"LookupUnavailable"`)
	})
	t.Run("LoopGuard", func(t *testing.T) { wantLogged(t, loopGuardedPod(t, present).Name, `"reason":"LoopGuard"`) })
}

// reasonPod describes a pod that the webhook decides about with a certain reason.
type reasonPod struct {
	image  string
	change func(*corev1.Pod)
}

// create creates the pod. It is deleted when the test ends.
func (r reasonPod) create(t *testing.T, reason string) *corev1.Pod {
	t.Helper()
	name := "why-" + strings.ToLower(reason)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: podSpec(r.image)}
	if r.change != nil {
		r.change(pod)
	}
	created, err := suite.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deletePod(t, name, namespace) })
	return created
}

// presentImage builds an image and pushes it.
func presentImage(t *testing.T) string {
	t.Helper()
	present := buildImage(t, "e2e/why-present:local", "hello")
	command(t, suite.setup, "push", present)
	return present
}

// reasonPods builds the images of pods with different reasons, by reason. Layers must not be linked. present is in the registry. The
// images to push have the prefix in their names, which differs from test to test: if the registry has an image under a name, it gets
// every later build of that name immediately.
func reasonPods(t *testing.T, present, prefix string) map[string]reasonPod {
	t.Helper()
	optedOut := map[string]string{config.RewriteAnnotation: "false"}
	return map[string]reasonPod{
		"Rewritten":           {image: present},
		"RewrittenPushing":    {image: buildImage(t, "e2e/"+prefix+"-new:local", "hello")},
		"AlreadyLocal":        {image: registry + "/" + present},
		"AlreadyLocalPushing": {image: registry + "/" + buildImage(t, "e2e/"+prefix+"-itself:local", "hello")},
		"NotOnHost":           {image: "example.invalid/why/none:1"},
		"DigestNotHeld":       {image: "example.invalid/why/none@sha256:" + strings.Repeat("0", 64)},
		"Unservable":          {image: buildEmpty(t, "e2e/why-empty:local")},
		"InvalidReference":    {image: "Not/An-Image"},
		"Unmappable":          {image: "Host.invalid/why:1"},
		"ExcludedByRule":      {image: present, change: func(p *corev1.Pod) { p.Labels = map[string]string{"cnpg.io/podRole": "instance"} }},
		"OptedOut":            {image: present, change: func(p *corev1.Pod) { p.Annotations = optedOut }},
		"AlwaysUpstream": {image: pulledImage(t), change: func(p *corev1.Pod) {
			p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
		}},
	}
}

// loopGuardedPod deletes and recreates a pod, like an operator that compares images, until the pod keeps its original image. It returns
// that pod, which is deleted when the test ends. The guard counts the pods that it sees in a watch, so on a busy machine the pod may have
// been recreated more often than the rules allow.
func loopGuardedPod(t *testing.T, image string) *corev1.Pod {
	t.Helper()
	owner, err := suite.kube.CoreV1().ConfigMaps(namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "operator"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = suite.kube.CoreV1().ConfigMaps(namespace).Delete(context.Background(), owner.Name, metav1.DeleteOptions{})
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "why-loopguard", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, Controller: new(true),
	}}}, Spec: podSpec(image)}
	var created *corev1.Pod
	eventually(t, time.Minute, "a recreated pod keeps its original image", func(ctx context.Context) string {
		_ = suite.kube.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		if created, err = suite.kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return err.Error() // the previous pod has not been deleted yet
		}
		if got := created.Spec.Containers[0].Image; got != image {
			return "its image is " + got
		}
		return ""
	})
	t.Cleanup(func() { deletePod(t, pod.Name, namespace) })
	return created
}

// buildEmpty builds an image without layers.
func buildEmpty(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nENV EMPTY=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	docker(t, "build", "-q", "-t", name, dir)
	t.Cleanup(func() { removeImage(t, name) })
	return name
}

// pulledImage returns an image that the daemon has pulled from another registry. That registry runs until the test ends.
func pulledImage(t *testing.T) string {
	t.Helper()
	const upstream = "e2e-upstream"
	image := docker(t, "inspect", "--format", "{{.Config.Image}}", config.RegistryContainer)
	docker(t, "run", "-d", "--name", upstream, "-p", "127.0.0.1:5077:5000", "-v", "/var/lib/registry", image)
	t.Cleanup(func() { _, _ = backgroundCommand("docker", "rm", "-fv", upstream) })
	built := buildImage(t, "localhost:5077/why/pulled:1", "hello")
	eventually(t, time.Minute, "the other registry accepts the image", func(ctx context.Context) string {
		if out, err := exec.CommandContext(ctx, "docker", "push", built).CombinedOutput(); err != nil {
			return fmt.Sprintf("%v: %s", err, out) // a killed command prints nothing
		}
		return ""
	})
	docker(t, "image", "rm", built)
	docker(t, "pull", built)
	t.Cleanup(func() { removeImage(t, built) })
	return built
}

// wantLogged waits until the log has a line about the pod that contains all the words.
func wantLogged(t *testing.T, pod string, words ...string) {
	t.Helper()
	eventually(t, 20*time.Second, "the log explains "+pod, func(ctx context.Context) string {
		return checkLogged(ctx, pod, words...)
	})
}

// checkLogged returns "" if kubectl logs for the Deployment prints a line that contains the pod's name and all the words.
func checkLogged(ctx context.Context, pod string, words ...string) string {
	out, err := exec.CommandContext(ctx, "kubectl", "--kubeconfig", suite.kubeconfig, "logs", "deployment/"+ours, "-n", ours).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out) // a killed command prints nothing
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, `"`+pod+`"`) {
			continue
		}
		lines = append(lines, line)
		if !strings.Contains(line, "image decided") {
			continue
		}
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(line, word)
		}
		if !missing {
			return ""
		}
	}
	return "no line with " + strings.Join(words, ", ") + " among:\n" + strings.Join(lines, "")
}
