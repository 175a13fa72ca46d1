//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestDeployment_RunsAHostOnlyImageOnBothNodes(t *testing.T) {
	image := buildImage(t, "e2e/both-nodes:local", "hello from both")
	createDeployment(t, deployment("both-nodes", image, 2))

	nodes := map[string]bool{}
	for _, pod := range awaitPods(t, "both-nodes", 2, "") {
		nodes[pod.Spec.NodeName] = true
		if got, want := pod.Spec.Containers[0].Image, registry+"/"+image+"@sha256:"; !strings.HasPrefix(got, want) {
			t.Errorf("image of pod %s = %s, want %s…", pod.Name, got, want)
		}
		if got := proxy(t, pod.Name); !strings.HasPrefix(got, "hello from both") {
			t.Errorf("pod %s answers %q, want \"hello from both\" first", pod.Name, got)
		}
	}
	if len(nodes) != 2 {
		t.Errorf("the pods run on %d nodes, want 2", len(nodes))
	}
}

// TestRegistryName_RunsAHostOnlyImage covers a pod that names an image in the registry which only the host has. Its kubelet must not
// ask for the tag before the registry has it.
func TestRegistryName_RunsAHostOnlyImage(t *testing.T) {
	image := registry + "/" + buildImage(t, "e2e/registry-name:local", "hello")
	createPod(t, "registry-name", namespace, podSpec(image))
	pod := awaitRunning(t, "registry-name", time.Minute)
	if got := pod.Spec.Containers[0].Image; got != image {
		t.Errorf("image of the pod = %s, want it unchanged, %s", got, image)
	}
	events, err := suite.kube.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(pod.UID) + ",reason=Failed",
	})
	if err != nil || len(events.Items) > 0 {
		t.Errorf("Events about failed pulls = %v (error %v), want none", events.Items, err)
	}
}

func TestInitContainer_RunsAHostOnlyImage(t *testing.T) {
	image := buildImage(t, "e2e/init:local", "hello")
	spec := podSpec(image)
	spec.InitContainers = []corev1.Container{{Name: "prepare", Image: image, Args: []string{"--once"}}}
	createPod(t, "init", namespace, spec)

	pod := awaitRunning(t, "init", time.Minute)
	if got := pod.Spec.InitContainers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@sha256:") {
		t.Errorf("image of the init container = %s, want it from the registry, by digest", got)
	}
	if status := pod.Status.InitContainerStatuses[0]; status.State.Terminated == nil || status.State.Terminated.ExitCode != 0 {
		t.Errorf("state of the init container = %+v, want exit code 0", status.State)
	}
}

func TestPod_KeepsAnImageMissingOnTheHost(t *testing.T) {
	const image = "example.invalid/not/on-host:1"
	pod, _ := createPod(t, "not-on-host", namespace, podSpec(image))

	if got := pod.Spec.Containers[0].Image; got != image {
		t.Errorf("image = %s, want %s", got, image)
	}
	if len(pod.Spec.SchedulingGates) != 0 || len(pod.Annotations) != 0 {
		t.Errorf("gates = %v, annotations = %v, want none", pod.Spec.SchedulingGates, pod.Annotations)
	}
}

func TestRolloutRestart_RunsTheRebuiltImageUnderTheSameTag(t *testing.T) {
	const name = "rebuilt"
	image := buildImage(t, "e2e/rebuilt:local", "first build")
	createDeployment(t, deployment(name, image, 1))
	first := awaitPods(t, name, 1, "")[0]
	if got := proxy(t, first.Name); !strings.HasPrefix(got, "first build") {
		t.Fatalf("pod answers %q, want \"first build\" first", got)
	}

	buildImage(t, image, "second build")
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	if _, err := suite.kube.AppsV1().Deployments(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(restart), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}

	second := awaitPods(t, name, 1, first.Spec.Containers[0].Image)[0]
	if got := proxy(t, second.Name); !strings.HasPrefix(got, "second build") {
		t.Errorf("pod answers %q, want \"second build\" first", got)
	}
}

func TestKubeSystem_IsNeverRewritten(t *testing.T) {
	image := buildImage(t, "e2e/system:local", "hello")
	pod, _ := createPod(t, "untouched", metav1.NamespaceSystem, podSpec(image))
	if got := pod.Spec.Containers[0].Image; got != image {
		t.Errorf("image of a pod in kube-system = %s, want the original %s", got, image)
	}
	all, err := suite.kube.CoreV1().Pods(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range all.Items {
		if strings.Contains(strings.Join(images(&pod), " "), registry) || pod.Annotations[ours+"/original-images"] != "" {
			t.Errorf("pod %s in kube-system was rewritten, want it unchanged", pod.Name)
		}
	}
}

func TestStack_RunsFromTheManifestOfLaconicSo(t *testing.T) {
	buildImage(t, "example/hello:local", "hello")
	command(t, "kubectl", "--kubeconfig", suite.kubeconfig, "apply", "-f", "../../examples/stack/deployment.yaml")
	t.Cleanup(func() {
		_, _ = backgroundCommand("kubectl", "--kubeconfig", suite.kubeconfig, "delete", "-f", "../../examples/stack/deployment.yaml")
	})
	pod := awaitPods(t, "laconic-9d1c4a7be2f05c36", 1, "")[0]
	if got := proxy(t, pod.Name); !strings.HasPrefix(got, "hello from a stack") {
		t.Errorf("stack answers %q, want \"hello from a stack\" first", got)
	}
}

func images(pod *corev1.Pod) []string {
	var all []string
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		all = append(all, container.Image)
	}
	return all
}
