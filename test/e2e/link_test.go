//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

const (
	worker       = clusterName + "-worker"
	controlPlane = clusterName + "-control-plane"
)

// TestLink_NewImageRunsWithoutAGate creates a pod of an image that only the host has. The pod must never be gated, its layers
// must be linked, and the registry must have the image in the end.
func TestLink_NewImageRunsWithoutAGate(t *testing.T) {
	needLinker(t)
	image := buildImage(t, "e2e/linked:local", "linked", 20, 1)
	begin := time.Now()
	created, _ := createPod(t, "linked", namespace, onNode(worker, image))
	if len(created.Spec.SchedulingGates) > 0 || !pinned(created, image) {
		t.Errorf("the new pod is %s, want it pinned and without a gate", describe(created))
	}
	running := awaitRunning(t, "linked", time.Minute)
	wantLinked(t, begin, worker)
	eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, running) })

	// Now Docker loses the image, and the other node gets the first node's layers.
	removeImage(t, image)
	begin = time.Now()
	second := onNode(controlPlane, running.Spec.Containers[0].Image)
	createPod(t, "linked-second", namespace, second)
	awaitRunning(t, "linked-second", time.Minute)
	wantLinked(t, begin, controlPlane)
}

// TestLink_StoppedLinkerLeavesThePodToAPull creates a pod while no linker runs. The image must be pushed, and then pulled.
func TestLink_StoppedLinkerLeavesThePodToAPull(t *testing.T) {
	needLinker(t)
	image := buildImage(t, "e2e/unlinked:local", "unlinked", 30)
	stopLinker(t)
	created, _ := createPod(t, "unlinked", namespace, onNode(worker, image))
	if len(created.Spec.SchedulingGates) == 0 {
		t.Errorf("the new pod is %s, want a gate, because no linker answers", describe(created))
	}
	running := awaitRunning(t, "unlinked", time.Minute)
	if !pinned(running, image) {
		t.Errorf("the pod is %s, want the image from the registry, by digest", describe(running))
	}
}

// TestLink_PromisedImageIsPulledWithoutTheLinker stops the linker between the promise and the pull.
func TestLink_PromisedImageIsPulledWithoutTheLinker(t *testing.T) {
	needLinker(t)
	image := buildImage(t, "e2e/promised:local", "promised", 30)
	spec := onNode(worker, image)
	spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "e2e/wait"}}
	created, _ := createPod(t, "promised", namespace, spec)
	if !pinned(created, image) {
		t.Fatalf("the new pod is %s, want it pinned", describe(created))
	}
	stopLinker(t)
	ungate := []byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`)
	if _, err := suite.kube.CoreV1().Pods(namespace).Patch(t.Context(), "promised", types.JSONPatchType, ungate, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, "promised", time.Minute)
}

// TestLink_PushAndExplainShowHowFarItIs checks what a user sees before an image is promised, while it is, and after its push.
func TestLink_PushAndExplainShowHowFarItIs(t *testing.T) {
	needLinker(t)
	image := buildImage(t, "e2e/shown:local", "shown", 20)
	before := explain(t, "", image)[0]
	if before.Outcome != "pushed first" || before.Reason != string(rewrite.RewrittenPushing) {
		t.Errorf("setup explain of a new image = %+v, want it to be pushed first", before)
	}
	createPod(t, "shown", namespace, onNode(worker, image))
	wantLogged(t, "shown", `"reason":"Rewritten"`, `"digest":"sha256:`)
	running := awaitRunning(t, "shown", time.Minute)
	eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, running) })
	if after := explain(t, "", image)[0]; after.Reason != string(rewrite.Rewritten) {
		t.Errorf("setup explain of a pushed image = %+v, want %s", after, rewrite.Rewritten)
	}
	present, layers := map[string]int{}, 0
	for _, node := range mustPush(t, image)[0].Nodes {
		present[node.Name], layers = node.Present, node.Layers
	}
	if want := map[string]int{worker: layers, controlPlane: present[controlPlane]}; layers == 0 || !maps.Equal(present, want) || present[controlPlane] == layers {
		t.Errorf("layers by node = %v of %d, want all on %s, and not on %s", present, layers, worker, controlPlane)
	}
}

// needLinker skips the test if all tests run without the linker.
func needLinker(t *testing.T) {
	t.Helper()
	if !linking() {
		t.Skip("E2E_LINK=off: there is no linker")
	}
}

// onNode returns the spec of a pod on a node.
func onNode(node, image string) corev1.PodSpec {
	spec := podSpec(image)
	spec.NodeSelector = map[string]string{"kubernetes.io/hostname": node}
	return spec
}

// pinned reports whether the pod's first image is the original image, rewritten to a digest in the registry.
func pinned(pod *corev1.Pod, original string) bool {
	return strings.HasPrefix(pod.Spec.Containers[0].Image, registry+"/"+original+"@sha256:")
}

// stopLinker stops the linker until the test ends. Until then, images are pushed before their pods start.
func stopLinker(t *testing.T) {
	t.Helper()
	docker(t, "stop", "-t", "0", config.LinkerContainer)
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "start", config.LinkerContainer); err != nil {
			t.Errorf("starting the linker: %v\n%s", err, out)
		}
	})
}

// switchLinkingOff makes setup remove the linker until the test ends. Until then, images are pushed before their pods start.
func switchLinkingOff(t *testing.T) {
	t.Helper()
	if !linking() {
		return
	}
	if out, err := suite.up(t.Context(), "--link", linkOff); err != nil {
		t.Fatalf("setup up --link=off: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := suite.up(context.Background(), "--link", "auto"); err != nil {
			t.Errorf("setup up --link=auto: %v\n%s", err, out)
		}
	})
}

// wantLinked fails the test unless the linker has linked layers to the node since begin, and left none to be pulled.
func wantLinked(t *testing.T, begin time.Time, node string) {
	t.Helper()
	log := linkerLog(t, begin)
	if want := fmt.Sprintf(`"msg":"layers linked","node":%q`, node); !strings.Contains(log, want) {
		t.Errorf("the linker's log has no %s:\n%s", want, log)
	}
	if strings.Contains(log, "not linked") {
		t.Errorf("the linker left layers to be pulled:\n%s", log)
	}
}

// linkerLog returns the linker's log since begin.
func linkerLog(t *testing.T, begin time.Time) string {
	t.Helper()
	log, err := backgroundCommand("docker", "logs", "--since", begin.Format(time.RFC3339Nano), config.LinkerContainer)
	if err != nil {
		t.Fatalf("reading the linker's log: %v\n%s", err, log)
	}
	return log
}

// inRegistry returns "" if the registry serves all layers of the pod's first image. It pulls the layers, because the registry takes a
// HEAD request from the host for the beginning of a push, and then keeps the layer for an hour.
func inRegistry(ctx context.Context, pod *corev1.Pod) string {
	reference, err := name.ParseReference(pod.Spec.Containers[0].Image, name.Insecure)
	if err != nil {
		return err.Error()
	}
	image, err := remote.Image(reference, remote.WithContext(ctx))
	if err != nil {
		return err.Error()
	}
	layers, err := image.Layers()
	if err != nil {
		return err.Error()
	}
	if len(layers) == 0 {
		return "the image has no layers"
	}
	for _, layer := range layers {
		content, err := layer.Compressed() // as it is stored; reading it fails if it does not match its digest
		if err != nil {
			return err.Error()
		}
		_, err = io.Copy(io.Discard, content)
		if err = errors.Join(err, content.Close()); err != nil {
			return err.Error()
		}
	}
	return ""
}
