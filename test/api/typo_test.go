//go:build api

package api

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// warningLog collects the warnings that a client gets.
type warningLog struct {
	mu  sync.Mutex
	all []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (l *warningLog) HandleWarningHeader(_ int, _, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

// warned creates the object and returns the warnings.
func warned(t *testing.T, object client.Object) []string {
	t.Helper()
	return warnedBy(t, func(c client.Client) error { return c.Create(t.Context(), object) })
}

// warnedBy makes the request and returns the warnings.
func warnedBy(t *testing.T, request func(client.Client) error) []string {
	t.Helper()
	log := &warningLog{}
	access := rest.CopyConfig(shared.access)
	access.WarningHandler = log
	c, err := client.New(access, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := request(c); err != nil {
		t.Fatal(err)
	}
	return log.all
}

// missingEvents returns the notes of the Events that say that the host does not have the pod's images.
func missingEvents(t *testing.T, p *corev1.Pod) (notes []string) {
	t.Helper()
	var events eventsv1.EventList
	if err := shared.List(t.Context(), &events, client.InNamespace(p.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if e.Reason == "NotOnHost" && e.Regarding.UID == p.UID {
			notes = append(notes, e.Note)
		}
	}
	slices.Sort(notes)
	return notes
}

func TestTypingError_WarnsTheClient(t *testing.T) {
	t.Parallel()
	shared.host.add("typing/hello:local", image{inRegistry: true})
	ns := newNamespace(t)
	for i, tt := range []struct{ image, annotation, want string }{
		{"typing/helo:local", "", "kind-local-registry: the host has no typing/helo:local; did you mean typing/hello:local?"},
		{"typing/helo:local", "false", ""},
		{"typing/hello:v2", "", ""},
		{"registry.k8s.io/pause:3.10", "", ""},
		{"nginx:1.29", "", ""},
	} {
		p := pod(ns, tt.image)
		p.Name = fmt.Sprintf("pod-%d", i)
		if tt.annotation != "" {
			p.Annotations = map[string]string{config.RewriteAnnotation: tt.annotation}
		}
		if got := strings.Join(warned(t, p), "\n"); got != tt.want {
			t.Errorf("warnings about %s, annotation %q = %q, want %q", tt.image, tt.annotation, got, tt.want)
		}
	}
}

func TestTypingError_WarnsTheClientAboutWorkloads(t *testing.T) {
	t.Parallel()
	shared.host.add("typing/worker:local", image{inRegistry: true})
	wrong := pod(newNamespace(t), "typing/wroker:local")
	labels := map[string]string{"app": "worker"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: wrong.Spec}
	inJob := *template.DeepCopy()
	inJob.Spec.RestartPolicy = corev1.RestartPolicyNever
	named := metav1.ObjectMeta{Namespace: wrong.Namespace, Name: "worker"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	deployment := &appsv1.Deployment{ObjectMeta: named, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}
	const want = "kind-local-registry: the host has no typing/wroker:local; did you mean typing/worker:local?"
	for _, object := range []client.Object{
		deployment,
		&appsv1.StatefulSet{ObjectMeta: named, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		&appsv1.DaemonSet{ObjectMeta: named, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
		&batchv1.Job{ObjectMeta: named, Spec: batchv1.JobSpec{Template: inJob}},
		&batchv1.CronJob{ObjectMeta: named, Spec: batchv1.CronJobSpec{
			Schedule: "0 3 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: inJob}},
		}},
	} {
		if got := strings.Join(warned(t, object), "\n"); got != want {
			t.Errorf("warnings about the %T = %q, want %q", object, got, want)
		}
	}
	for patch, want := range map[string]string{
		`[{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}]`:                                         "",
		`[{"op":"replace","path":"/spec/replicas","value":2}]`:                                                    "",
		`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"typing/workre:local"}]`:        strings.Replace(want, "wroker", "workre", 1),
		`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.k8s.io/pause:3.10"}]`: "",
	} {
		got := warnedBy(t, func(c client.Client) error {
			return c.Patch(t.Context(), deployment.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch)), client.DryRunAll)
		})
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("warnings about the patch %s = %q, want %q", patch, text, want)
		}
	}
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil {
		t.Fatal(err)
	}
	if got := deployment.Spec.Template.Spec.Containers[0].Image; got != "typing/wroker:local" {
		t.Errorf("image in the Deployment = %s, want it unchanged", got)
	}
}

// TestTypingError_WritesOneEventForAPod lets the kubelet fail again and again, and replaces the webhook's process in between.
func TestTypingError_WritesOneEventForAPod(t *testing.T) {
	shared.host.add("typing/service:local", image{inRegistry: true})
	shared.host.add("typing/marker:local", image{inRegistry: true})
	ns := newNamespace(t)
	p := create(t, pod(ns, "typing/servcie:local", "registry.invalid/unlike:1", "typing/servcie:local"))
	optedOut := pod(ns, "typing/servcie:local")
	optedOut.Name, optedOut.Annotations = "opted-out", map[string]string{config.RewriteAnnotation: "false"}
	create(t, optedOut)
	want := []string{"The host has no registry.invalid/unlike:1", "The host has no typing/servcie:local; did you mean typing/service:local?"}
	for i := range 3 {
		failPulls(t, optedOut)
		failPulls(t, p)
		backOff(t, p)
		// By the time a later pod has been healed, the controller has handled the failures.
		marker := pod(ns, "typing/marker:local")
		marker.Name = fmt.Sprintf("marker-%d", i)
		before := images(create(t, marker))
		failPulls(t, marker)
		eventually(t, marker, "healed", func(p *corev1.Pod) bool { return images(p) != before })
		await(t, "explained by Events", func() bool { return slices.Equal(missingEvents(t, p), want) })
		shared.restartProcess(t, shared.process())
	}
	if got := missingEvents(t, optedOut); len(got) > 0 {
		t.Errorf("Events about the pod that opted out = %q, want none", got)
	}
	wantImages(t, p, "typing/servcie:local", "registry.invalid/unlike:1", "typing/servcie:local")
}

// backOff sets the pod's status as if the kubelet were waiting to pull the images again.
func backOff(t *testing.T, p *corev1.Pod) {
	t.Helper()
	for i := range p.Status.ContainerStatuses {
		p.Status.ContainerStatuses[i].State.Waiting.Reason = "ImagePullBackOff"
	}
	if err := shared.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestTypingError_SkipsKubeSystem(t *testing.T) {
	t.Parallel()
	shared.host.add("typing/system:local", image{inRegistry: true})
	shared.host.add("typing/later:local", image{inRegistry: true})
	p := pod("kube-system", "typing/systen:local")
	p.GenerateName, p.Name = "typing-", ""
	if got := warned(t, p); len(got) > 0 {
		t.Errorf("warnings about a pod in kube-system = %q, want none", got)
	}
	failPulls(t, p)
	// By the time a later pod has been healed, the pod in kube-system would have got its Event.
	later := create(t, pod(newNamespace(t), "typing/later:local"))
	before := images(later)
	failPulls(t, later)
	eventually(t, later, "healed", func(p *corev1.Pod) bool { return images(p) != before })
	if got := missingEvents(t, p); len(got) > 0 {
		t.Errorf("Events about a pod in kube-system = %q, want none", got)
	}
}
