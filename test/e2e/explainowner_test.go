//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownedManifests contains an object of each kind that owns pods. Each pod has the label app=NAME.
const ownedManifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: owned-deployment}
spec: {replicas: 3, selector: {matchLabels: {app: owned-deployment}}, template: {metadata: {labels: {app: owned-deployment}}, spec: SPEC}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: owned-statefulset}
spec: {serviceName: none, selector: {matchLabels: {app: owned-statefulset}}, template: {metadata: {labels: {app: owned-statefulset}}, spec: SPEC}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: owned-daemonset}
spec: {selector: {matchLabels: {app: owned-daemonset}}, template: {metadata: {labels: {app: owned-daemonset}}, spec: SPEC}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: owned-job}
spec: {template: {metadata: {labels: {app: owned-job}}, spec: ONCE}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: owned-cronjob}
spec: {schedule: "0 3 1 1 *", jobTemplate: {spec: {template: {metadata: {labels: {app: owned-cronjob}}, spec: ONCE}}}}
`

// TestExplainPod_KnowsEachKindOfOwner explains the pods of each kind of object after the host's build has changed, so that it also
// tells how to renew them. With E2E_FULL, the webhook has two replicas, each of which logs only its own decisions.
func TestExplainPod_KnowsEachKindOfOwner(t *testing.T) {
	if count(1, 2) > 1 {
		t.Cleanup(func() { scale(t, 1) })
		scale(t, 2)
	}
	image := buildImage(t, "e2e/owned:local", "first")
	command(t, suite.setup, "push", image)
	const spec = `{terminationGracePeriodSeconds: 0, tolerations: [{operator: Exists, effect: NoSchedule}], containers: [{name: app, image: "IMAGE"}]}`
	once := strings.Replace(strings.Replace(spec, "{terminationGrace", "{restartPolicy: Never, terminationGrace", 1), `"}]`, `", args: ["--once"]}]`, 1)
	manifests := strings.NewReplacer("SPEC", strings.Replace(spec, "IMAGE", image, 1), "ONCE", strings.Replace(once, "IMAGE", image, 1)).Replace(ownedManifests)
	applyOwned(t, manifests)
	command(t, "kubectl", "--kubeconfig", suite.kubeconfig, "create", "job", "owned-cronjob-now", "--from=cronjob/owned-cronjob")
	createPod(t, "owned-none", namespace, podSpec(image))
	awaitRunning(t, "owned-none", time.Minute)
	for name, state := range map[string]owned{
		"owned-deployment": {3, corev1.PodRunning}, "owned-statefulset": {1, corev1.PodRunning}, "owned-daemonset": {2, corev1.PodRunning},
		"owned-job": {1, corev1.PodSucceeded}, "owned-cronjob": {1, corev1.PodSucceeded},
	} {
		awaitOwned(t, name, state)
	}
	wantExplained(t, "owner-current", "deployment/owned-deployment")
	buildImage(t, image, "second")
	command(t, suite.setup, "push", image)
	for _, object := range []string{
		"pod/owned-none", "deployment/owned-deployment", "statefulset/owned-statefulset", "daemonset/owned-daemonset", "job/owned-job",
		"cronjob/owned-cronjob",
	} {
		kind, _, _ := strings.Cut(object, "/")
		wantExplained(t, "owner-"+kind, object)
	}
}

// applyOwned applies the manifests with kubectl. The objects are deleted when the test ends.
func applyOwned(t *testing.T, manifests string) {
	t.Helper()
	for _, verb := range []string{"apply", "delete"} {
		run := func(ctx context.Context) {
			cmd := exec.CommandContext(ctx, "kubectl", "--kubeconfig", suite.kubeconfig, verb, "-f", "-")
			cmd.Stdin = strings.NewReader(manifests)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("kubectl %s: %v\n%s", verb, err, out)
			}
		}
		if verb == "apply" {
			run(t.Context())
			continue
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			run(ctx)
		})
	}
}

// owned is how many pods an object has, and their phase.
type owned struct {
	pods  int
	phase corev1.PodPhase
}

// awaitOwned waits until the pods with the label app=NAME are in the state.
func awaitOwned(t *testing.T, name string, want owned) {
	t.Helper()
	eventually(t, time.Minute, "the pods of "+name, func(ctx context.Context) string {
		list, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err.Error()
		}
		ready := 0
		for i := range list.Items {
			if list.Items[i].Status.Phase == want.phase {
				ready++
			}
		}
		if ready != want.pods || len(list.Items) != want.pods {
			return "not all pods are " + string(want.phase)
		}
		return ""
	})
}

// TestExplainPod_ExplainsThreeStatesOfOnePod explains a pod of which one image is current, one has a newer build on the host, and one
// is not on the host.
func TestExplainPod_ExplainsThreeStatesOfOnePod(t *testing.T) {
	current, rebuilt := buildImage(t, "e2e/three-current:local", "current"), buildImage(t, "e2e/three-rebuilt:local", "first")
	command(t, suite.setup, "push", current, rebuilt)
	spec := podSpec(current)
	for _, other := range []corev1.Container{
		{Name: "rebuilt", Image: rebuilt, Args: []string{"--once"}}, // two programs cannot listen on the same port
		{Name: "none", Image: "example.invalid/three-none:local"},
	} {
		other.ImagePullPolicy = corev1.PullIfNotPresent
		spec.Containers = append(spec.Containers, other)
	}
	spec.RestartPolicy = corev1.RestartPolicyNever
	createPod(t, "three", namespace, spec)
	awaitSettled(t, "three")
	buildImage(t, rebuilt, "second")
	command(t, suite.setup, "push", rebuilt) // before it is pushed in advance
	wantExplained(t, "three-states", "pod/three")
}

// TestExplainPod_NeverCallsAPromisedBuildOld explains a pod that runs a promised image. The push begins after three seconds.
func TestExplainPod_NeverCallsAPromisedBuildOld(t *testing.T) {
	needLinker(t)
	image := buildImage(t, "e2e/why-promised:local", "hello", 5)
	createPod(t, "why-promised", namespace, podSpec(image))
	promised := false
	eventually(t, time.Minute, "the registry has the build of the pod", func(ctx context.Context) string {
		text := explainObjects(context.WithoutCancel(ctx), t, 0, "pod/why-promised")
		switch {
		case strings.Contains(text, "host      has the same build, and pushes it to the registry\n"):
			promised = true
			return text
		case strings.Contains(text, "host      has the same build\n"):
			return ""
		}
		t.Fatalf("setup explain pod/why-promised: want the same build:\n%s", text)
		return ""
	})
	t.Logf("the explanation told that the host pushes the build: %v", promised)
}

// TestExplainPod_ReportsMissingObjects explains objects that do not exist.
func TestExplainPod_ReportsMissingObjects(t *testing.T) {
	webhook := webhookPods(t)[0].Name
	wantUnexplained(t, "no Pod "+webhook+" in namespace default, but in namespace "+ours+"; add -n "+ours, "pod/"+webhook)
	wantUnexplained(t, "no Deployment none in namespace shop; kubectl get deployments -A lists those that exist", "deploy/none", "-n", "shop")
}

// wantUnexplained fails the test unless setup explain fails with an error that contains want.
func wantUnexplained(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), suite.setup, append([]string{"explain", "--cluster", clusterName}, args...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("setup explain %s: %v, want an error with %q:\n%s", strings.Join(args, " "), err, want, out)
	}
}

// TestExplainPod_DocumentsAnExemptPod explains the webhook's own pods as a JSON document.
func TestExplainPod_DocumentsAnExemptPod(t *testing.T) {
	var document struct {
		Webhook []struct{ Pod, Since, Error string }
		Pods    []struct {
			OwnerKind, OwnerName string
			Images               []struct{ Unlogged, Build string }
		}
	}
	out := command(t, suite.setup, "explain", "--cluster", clusterName, "deploy/"+ours, "-n", ours, "-o", "json")
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(document.Webhook) == 0 || document.Webhook[0].Since == "" || document.Webhook[0].Error != "" {
		t.Errorf("webhook = %+v, want a log", document.Webhook)
	}
	if len(document.Pods) == 0 || document.Pods[0].OwnerKind != "Deployment" || document.Pods[0].OwnerName != ours ||
		!strings.Contains(document.Pods[0].Images[0].Unlogged, "exempt namespace") {
		t.Errorf("pods = %+v, want those of the Deployment, in an exempt namespace", document.Pods)
	}
}

// webhookPods returns the webhook's pods, of which there is at least one.
func webhookPods(t *testing.T) []corev1.Pod {
	t.Helper()
	replicas, err := suite.kube.CoreV1().Pods(ours).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + ours})
	if err != nil || len(replicas.Items) == 0 {
		t.Fatalf("the webhook's pods: %v, %v", replicas, err)
	}
	return replicas.Items
}
