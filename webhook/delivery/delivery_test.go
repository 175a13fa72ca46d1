package delivery

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const registryHost = "localhost:5001"

// someDigest is the digest that every push returns.
const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// marked reads the pod with its gate and annotations.
func marked(pod *corev1.Pod) *podimage.Pod { return podimage.Read(pod, registryHost) }

// gatedPod returns a pod that admission has gated and rewritten. Two of its containers share an image; the third has an image
// that admission did not rewrite.
func gatedPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "pod", UID: "uid", CreationTimestamp: metav1.Now(),
			Annotations: map[string]string{config.OriginalsAnnotation: `{"spec.containers{a}":"x:1",` +
				`"spec.containers{b}":"x:1","spec.initContainers{i}":"y:1"}`},
		},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: config.Gate}},
			InitContainers:  []corev1.Container{{Name: "i", Image: "localhost:5001/y:1"}},
			Containers: []corev1.Container{
				{Name: "a", Image: "localhost:5001/x:1"},
				{Name: "b", Image: "localhost:5001/x:1"},
				{Name: "c", Image: "localhost:5001/foreign:1"},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func TestWants_SelectsPodsThatWaitForImages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"a gated pod":                        {func(*corev1.Pod) {}, true},
		"a gated pod without our annotation": {func(p *corev1.Pod) { p.Annotations = nil }, true},
		"an ungated pod with a node":         {func(p *corev1.Pod) { p.Spec.NodeName, p.Spec.SchedulingGates = "n", nil }, true},
		"a pod without a gate or node":       {func(p *corev1.Pod) { p.Spec.SchedulingGates = nil }, false},
		"a pod without a gate or annotation": {func(p *corev1.Pod) { p.Annotations, p.Spec.SchedulingGates = nil, nil }, false},
		"a running pod":                      {func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, false},
		"a running pod that cannot pull":     {runningUnpullable, true},
		"a pod that ended":                   {func(p *corev1.Pod) { runningUnpullable(p); p.Status.Phase = corev1.PodFailed }, false},
		"a pod that is being deleted":        {func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }, false},
		"an ungated pod with pinned images":  {pinAll, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := gatedPod()
			tt.change(pod)
			if got := Wants(marked(pod)); got != tt.want {
				t.Errorf("Wants = %v, want %v", got, tt.want)
			}
			stripped, err := Strip(pod.DeepCopy())
			if err != nil {
				t.Fatal(err)
			}
			if got := Wants(marked(stripped.(*corev1.Pod))); got != tt.want {
				t.Errorf("Wants for the stripped pod = %v, want %v", got, tt.want)
			}
		})
	}
}

// runningUnpullable turns the pod into a running pod that was updated and cannot pull its new image.
func runningUnpullable(p *corev1.Pod) {
	p.Spec.SchedulingGates = nil
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", Image: "z:1", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "localhost:5001/x:1"`},
	}}}
}

// pinAll turns the pod into one whose images have been delivered: it pins them and removes the gate.
func pinAll(p *corev1.Pod) {
	p.Spec.SchedulingGates = nil
	p.Spec.InitContainers[0].Image += "@" + someDigest
	for i := range p.Spec.Containers {
		p.Spec.Containers[i].Image += "@" + someDigest
	}
}

func TestStrip_KeepsOnlyWhatIsRead(t *testing.T) {
	t.Parallel()
	pod := gatedPod()
	pod.Labels = map[string]string{"a": "b"}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	pod.Annotations["large"] = strings.Repeat("x", 1000)
	pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "E"}}
	stripped, err := Strip(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := gatedPod()
	want.CreationTimestamp = metav1.Time{}
	if diff := cmp.Diff(want, stripped); diff != "" {
		t.Errorf("Strip (-want +got):\n%s", diff)
	}
}

// pusher is a Pusher that records its pushes. It fails or hangs as its fields specify.
type pusher struct {
	mu     sync.Mutex
	pushes []string
	fails  map[string]error
	hangs  bool
}

func (p *pusher) Push(ctx context.Context, name string, _ func(webhook.Progress)) (string, error) {
	p.mu.Lock()
	p.pushes = append(p.pushes, name)
	p.mu.Unlock()
	if p.hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if err := p.fails[name]; err != nil {
		return "", err
	}
	return someDigest, nil
}

// silent is a Recorder that drops Events.
type silent struct{}

func (silent) Eventf(_, _ runtime.Object, _, _, _, _ string, _ ...any) {}

// reconciler returns a reconciler without a cluster.
func reconciler(p webhook.Pusher) *Reconciler {
	return &Reconciler{
		Client: &patches{}, Pusher: p, Decisions: lenient{}, Events: silent{}, RegistryHost: registryHost, Deadline: 10 * time.Minute,
	}
}

// lenient is a Decisions that excludes only the images in secret/ and heals nothing.
type lenient struct{}

func (lenient) Reconsider(context.Context, *podimage.Pod, []podimage.Field) []webhook.Outcome {
	return nil
}

func (lenient) Exclusion(_ context.Context, _ *podimage.Pod, image string) *rewrite.Refusal {
	if strings.HasPrefix(image, "secret/") {
		return &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: "in a test"}
	}
	return nil
}

func TestPush_PushesEachImageOnce(t *testing.T) {
	t.Parallel()
	pod, behind := gatedPod(), &pusher{}
	outcomes := reconciler(behind).push(t.Context(), marked(pod), marked(pod).Waiting())
	if len(behind.pushes) != 2 {
		t.Errorf("pushes = %v, want one push of each of the two images", behind.pushes)
	}
	if len(outcomes) != 3 {
		t.Fatalf("outcomes = %v, want one for each of the three fields", outcomes)
	}
	for _, o := range outcomes {
		if o.err != nil || o.digest != someDigest {
			t.Errorf("%s: %q, %v, want %q", o.Path, o.digest, o.err, someDigest)
		}
	}
}

func TestPush_EndsAtThePodsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pod := gatedPod()
		start := time.Now()
		outcomes := reconciler(&pusher{hangs: true}).push(t.Context(), marked(pod), marked(pod).Waiting())
		if took := time.Since(start); took > 10*time.Minute || took < 9*time.Minute {
			t.Errorf("a hanging push took %s, want the deadline of 10 minutes", took)
		}
		if !errors.Is(outcomes[0].err, context.DeadlineExceeded) || outcomes[0].refused() {
			t.Errorf("error = %v, want %v, and not a refusal", outcomes[0].err, context.DeadlineExceeded)
		}
	})
}

func TestUngatePatch_PinsOrRestoresEachImage(t *testing.T) {
	t.Parallel()
	pod := gatedPod()
	behind := &pusher{fails: map[string]error{"y:1": &rewrite.Refusal{Reason: rewrite.WrongPlatform}}}
	patch := ungatePatch(pod, reconciler(behind).push(t.Context(), marked(pod), marked(pod).Waiting()))
	var got []string
	for _, operation := range patch {
		got = append(got, operation.Json())
	}
	pinned := `"value":"localhost:5001/x:1@` + someDigest + `"}`
	want := []string{
		`{"op":"test","path":"/metadata/uid","value":"uid"}`,
		`{"op":"test","path":"/spec/initContainers/0/image","value":"localhost:5001/y:1"}`,
		`{"op":"replace","path":"/spec/initContainers/0/image","value":"y:1"}`,
		`{"op":"test","path":"/spec/containers/0/image","value":"localhost:5001/x:1"}`,
		`{"op":"replace","path":"/spec/containers/0/image",` + pinned,
		`{"op":"test","path":"/spec/containers/1/image","value":"localhost:5001/x:1"}`,
		`{"op":"replace","path":"/spec/containers/1/image",` + pinned,
		`{"op":"test","path":"/spec/schedulingGates/0","value":{"name":"kind-local-registry/image-push"}}`,
		`{"op":"remove","path":"/spec/schedulingGates/0"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

func TestUngatePatch_KeepsImagesOfTheRegistryItself(t *testing.T) {
	t.Parallel()
	pod := gatedPod()
	field := podimage.Waiting{Field: podimage.Fields(pod)[3], Original: "localhost:5001/foreign:1"}
	pod.Spec.SchedulingGates = nil
	for name, outcome := range map[string]pushed{
		"pushed":  {Waiting: field, digest: someDigest},
		"refused": {Waiting: field, err: &rewrite.Refusal{Reason: rewrite.NotOnHost}},
	} {
		if patch := ungatePatch(pod, []pushed{outcome}); patch != nil {
			t.Errorf("%s: patch = %v, want none", name, patch)
		}
	}
}
