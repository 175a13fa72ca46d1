package webhook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/webhooktest"
)

// running returns a pod that was rewritten when it was created and has been scheduled since.
func running(t *testing.T, h *webhook.Handler, image, policy string) string {
	t.Helper()
	request := creation(onePod(image, policy))
	pod := patched(t, request, h.Handle(t.Context(), request))
	pod.Spec.NodeName, pod.Spec.SchedulingGates = "node", nil
	return encoded(t, pod)
}

// onePod returns a pod with one container.
func onePod(image, policy string) string {
	return fmt.Sprintf(`{"metadata":{"name":"a","namespace":"default"},"spec":{"containers":[{"name":"a","image":%q,"imagePullPolicy":%q}]}}`,
		image, policy)
}

func encoded(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	document, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

// updated returns the updated pod with the handler's patch applied, and the handler's response.
func updated(t *testing.T, h *webhook.Handler, old string, change func(*corev1.Pod)) (*corev1.Pod, *admissionv1.AdmissionResponse) {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal([]byte(old), pod); err != nil {
		t.Fatal(err)
	}
	change(pod)
	request := creation(encoded(t, pod))
	request.Operation, request.OldObject.Raw = admissionv1.Update, []byte(old)
	response := h.Handle(t.Context(), request)
	if !response.Allowed {
		t.Fatalf("response = %+v, want it allowed", response)
	}
	return patched(t, request, response), response
}

func TestHandle_DecidesAboutUpdatedImages(t *testing.T) {
	t.Parallel()
	const pinned = "@" + webhooktest.Digest
	for name, tt := range map[string]struct {
		before, image, want string
	}{
		"the original image again":                 {"registry/app:1", "registry/app:1", "localhost:5001/registry/app:1" + pinned},
		"the original image in its full form":      {"registry/app:1", "docker.io/registry/app:1", "localhost:5001/registry/app:1" + pinned},
		"another image, in the registry":           {"registry/app:1", "registry/app:2", "localhost:5001/registry/app:2" + pinned},
		"another image, on the host":               {"registry/app:1", "host/app:2", "localhost:5001/host/app:2" + pinned},
		"another image, not found":                 {"registry/app:1", "nginx:1", "nginx:1"},
		"back from an image not found":             {"nginx:1", "registry/app:1", "localhost:5001/registry/app:1" + pinned},
		"the rewritten image of an earlier update": {"registry/app:1", "localhost:5001/registry/app:1", "localhost:5001/registry/app:1" + pinned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := webhooktest.NewHandler(t, logr.Discard())
			pod, _ := updated(t, h, running(t, h, tt.before, ""), func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = tt.image })
			if got := pod.Spec.Containers[0].Image; got != tt.want {
				t.Errorf("image = %s, want %s", got, tt.want)
			}
			if len(pod.Spec.SchedulingGates) > 0 {
				t.Errorf("gates = %v on a running pod", pod.Spec.SchedulingGates)
			}
			again, response := updated(t, h, encoded(t, pod), func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = tt.image })
			if got := again.Spec.Containers[0].Image; got != tt.want {
				t.Errorf("after the same update again: image = %s, want %s; patch %s", got, tt.want, response.Patch)
			}
		})
	}
}

func TestHandle_KeepsRunningImagesWhenAnnotationsAreReplaced(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	old := running(t, h, "registry/app:1", "Never")
	pod, _ := updated(t, h, old, func(pod *corev1.Pod) { // kubectl replace sends the unchanged manifest
		pod.Annotations = nil
		pod.Spec.Containers[0].Image, pod.Spec.Containers[0].ImagePullPolicy = "registry/app:1", corev1.PullNever
	})
	before := &corev1.Pod{}
	if err := json.Unmarshal([]byte(old), before); err != nil {
		t.Fatal(err)
	}
	if encoded(t, pod) != old {
		t.Errorf("the pod is\n%s\nwant it unchanged:\n%s", encoded(t, pod), old)
	}
}

func TestHandle_LeavesOptedOutUpdatesUnchanged(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	pod, response := updated(t, h, running(t, h, "registry/app:1", ""), func(pod *corev1.Pod) {
		pod.Annotations[config.RewriteAnnotation] = "false"
		pod.Spec.Containers[0].Image = "registry/app:1"
	})
	if got := pod.Spec.Containers[0].Image; got != "registry/app:1" {
		t.Errorf("image = %s after %s, want the original", got, response.Patch)
	}
}

func TestHandle_ChangesNoPullPolicyInAnUpdate(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	old := onePod("loaded/app:1", "Never") // created without the webhook
	pod, response := updated(t, h, old, func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "registry/app:2" })
	if got := pod.Spec.Containers[0]; got.Image != "registry/app:2" || got.ImagePullPolicy != corev1.PullNever {
		t.Errorf("container = %s, %s after %s, want it untouched", got.Image, got.ImagePullPolicy, response.Patch)
	}
}

// While an image is being pushed, a running pod's reference names the host's exact build, and the pod's author is warned.
func TestHandle_NamesTheBuildInUpdates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		old := running(t, h, "registry/app:1", "")
		pusher := &webhooktest.SlowPusher{Takes: time.Minute}
		h.Pushes = webhook.NewPushes(t.Context(), pusher, 10*time.Minute, logr.Discard())
		pod, response := updated(t, h, old, func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "host/app:2" })
		if got, want := pod.Spec.Containers[0].Image, "localhost:5001/host/app:2-fedcba987654"; got != want {
			t.Errorf("image = %s, want %s", got, want)
		}
		if len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], "is being pushed, the container waits for it") {
			t.Errorf("warnings = %q", response.Warnings)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if pusher.Pushed != 1 {
			t.Errorf("pushed %d times, want once", pusher.Pushed)
		}
	})
}

func TestHandle_DecidesCopiedPodsByOriginalImages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ original, image, want string }{
		"no longer found":          {"evil.example/miner:1", "localhost:5001/evil.example/miner:1", "evil.example/miner:1"},
		"pinned to an older build": {"registry/app:1", "localhost:5001/registry/app:1@sha256:" + strings.Repeat("0", 64), "localhost:5001/registry/app:1@" + webhooktest.Digest},
		"another image":            {"registry/app:1", "localhost:5001/other:1", "localhost:5001/other:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := creation(fmt.Sprintf(
				`{"metadata":{"annotations":{%q:"{\"spec.containers{a}\":\"%s\"}"}},"spec":{"containers":[{"name":"a","image":%q}]}}`,
				config.OriginalsAnnotation, tt.original, tt.image))
			pod := patched(t, request, webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request))
			if got := pod.Spec.Containers[0].Image; got != tt.want {
				t.Errorf("image = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHandle_RestoresThePullPolicyOfCopies(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	copied := strings.ReplaceAll(running(t, h, "registry/app:1", "Never"), "registry/app:1", "loaded/app:1")
	request := creation(copied)
	pod := patched(t, request, h.Handle(t.Context(), request))
	if got := pod.Spec.Containers[0]; got.Image != "loaded/app:1" || got.ImagePullPolicy != corev1.PullNever {
		t.Errorf("container = %s, %s, want loaded/app:1, Never", got.Image, got.ImagePullPolicy)
	}
}

func TestHandle_LeavesPodsWithFullAnnotationsUnchanged(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	for room, want := range map[int]bool{10: false, 4096: true} {
		request := creation(fmt.Sprintf(`{"metadata":{"annotations":{"k":%q}},"spec":{"containers":[{"name":"a","image":"host/app"}]}}`,
			strings.Repeat("x", limit-room)))
		if got := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request).Patch != nil; got != want {
			t.Errorf("with room for %d bytes the pod is rewritten: %v, want %v", room, got, want)
		}
	}
}

func TestHandle_ExcludesImagesByTheirRegistryName(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{
		"host/app:1":                             true,
		"localhost:5001/host/app:1":              true,
		"localhost:5001/host/app:1-fedcba987654": true,
		"localhost:5001/host/other:1":            false,
	} {
		h := webhooktest.NewHandler(t, logr.Discard())
		inForce := rules.Default()
		inForce.Images.Exclude = []string{"host/app:1"}
		h.Decider.Rules = func() rules.Rules { return inForce }
		response := h.Handle(t.Context(), creation(onePod(image, "")))
		if got := strings.Contains(response.AuditAnnotations["decisions"], "ExcludedByRule"); got != want {
			t.Errorf("%s: decisions %s, want it excluded: %v", image, response.AuditAnnotations["decisions"], want)
		}
	}
}

func TestHandle_LeavesItsOwnUpdatesUnchanged(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	restored := running(t, h, "registry/app:1", "")
	for user, want := range map[string]bool{config.ServiceAccountUser(): true, "kubernetes-admin": false} {
		request := creation(onePod("registry/app:1", ""))
		request.Operation, request.OldObject.Raw, request.UserInfo.Username = admissionv1.Update, []byte(restored), user
		response := h.Handle(t.Context(), request)
		if unchanged := response.Allowed && len(response.Patch) == 0; unchanged != want {
			t.Errorf("response to an update by %s = %+v, want no patch: %t", user, response, want)
		}
	}
}
