//go:build api

package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

const (
	restartedReason = "RestartedOnRebuild"
	skippedReason   = "RestartSkipped"
)

// asksForRestarts sets the annotation on the workload, which is then created.
func asksForRestarts[W client.Object](workload W) W {
	workload.GetAnnotations()[config.RestartAnnotation] = "true"
	return workload
}

// builds adds an image of which the registry has the first build.
func builds(image string) string {
	shared.host.rebuild(image, "1")
	return image
}

// wantRestart waits until the template of the workload has the annotation of kubectl rollout restart, and returns its value.
func wantRestart(t *testing.T, workload client.Object) string {
	t.Helper()
	var at string
	await(t, "restarted", func() bool {
		read(t, workload)
		at = templateIn(workload).Annotations[config.RestartedAtAnnotation]
		return at != ""
	})
	return at
}

// wantNoRestart fails the test if the workload was restarted. The witness has the same image, and is checked after the workload.
func wantNoRestart(t *testing.T, workload client.Object, witness *appsv1.Deployment) {
	t.Helper()
	wantRestart(t, witness)
	read(t, workload)
	if got := templateIn(workload).Annotations; len(got) > 0 {
		t.Errorf("annotations of the template = %v, want none", got)
	}
}

// newWitness creates a Deployment that is restarted. The controller checks workloads in the order of their names, so it is the last.
func newWitness(t *testing.T, ns, image string) *appsv1.Deployment {
	t.Helper()
	witness := asksForRestarts(newDeployment(ns, "z-witness", image))
	createWorkload(t, witness)
	return witness
}

func TestRestart_RestartsEveryKindAsKubectlDoes(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	for kind, workload := range map[string]client.Object{
		"Deployment":  asksForRestarts(newDeployment(ns, "a", builds("restart/deployment:local"))),
		"StatefulSet": asksForRestarts(newStatefulSet(ns, "b", builds("restart/statefulset:local"))),
		"DaemonSet":   asksForRestarts(newDaemonSet(ns, "c", builds("restart/daemonset:local"))),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			createWorkload(t, workload)
			before := workload.DeepCopyObject().(client.Object)
			image := "restart/" + strings.ToLower(kind) + ":local"
			shared.host.rebuild(image, "2")
			at := wantRestart(t, workload)
			if age := time.Since(parseTime(t, at)); age < -time.Second || age > patience {
				t.Errorf("restartedAt = %s, want the present time", at)
			}
			delete(templateIn(workload).Annotations, config.RestartedAtAnnotation)
			if got, want := templateIn(workload).String(), templateIn(before).String(); got != want {
				t.Errorf("the template differs in more than the annotation:\n%s\n%s", got, want)
			}
			if want := before.GetGeneration() + 1; workload.GetGeneration() != want {
				t.Errorf("generation = %d, want %d: one change", workload.GetGeneration(), want)
			}
			wantWorkloadEvent(t, workload, restartedReason, digestOfBuild(image, "2"))
			wantImages(t, rollOut(t, workload), "localhost:5001/"+image+"@"+digestOfBuild(image, "2"))
		})
	}
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestRestart_FollowsTheNamespacesLabel(t *testing.T) {
	t.Parallel()
	image := builds("restart/labelled:local")
	ns := newNamespace(t)
	plain, out := newDeployment(ns, "a-plain", image), newDeployment(ns, "b-out", image)
	out.Annotations[config.RestartAnnotation] = "false"
	witness := newDeployment(ns, "z-witness", image)
	for _, d := range []*appsv1.Deployment{plain, out, witness} {
		createWorkload(t, d)
	}
	shared.host.rebuild(image, "2") // nothing asks for restarts yet
	labelNamespace(t, ns)
	wantRestart(t, plain)
	wantNoRestart(t, out, witness)
}

// labelNamespace makes all workloads in the namespace ask for restarts.
func labelNamespace(t *testing.T, ns string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	read(t, namespace)
	change(t, namespace, func() { metav1.SetMetaDataLabel(&namespace.ObjectMeta, config.RestartAnnotation, "true") })
}

func TestRestart_StartsWhenAWorkloadBeginsToAsk(t *testing.T) {
	t.Parallel()
	image := builds("restart/begins:local")
	d := newDeployment(newNamespace(t), "web", image)
	createWorkload(t, d)
	shared.host.rebuild(image, "2")
	change(t, d, func() { metav1.SetMetaDataAnnotation(&d.ObjectMeta, config.RestartAnnotation, "true") })
	completeRollout(t, d) // a new annotation of a Deployment counts as a new generation
	wantRestart(t, d)
}

func TestRestart_InterruptsARolloutWhosePodFails(t *testing.T) {
	t.Parallel()
	image := builds("restart/crashing:local")
	d := asksForRestarts(newDeployment(newNamespace(t), "web", image))
	createWorkload(t, d)
	change(t, d, func() { d.Spec.Template.Labels["theirs"] = "a" })
	p := startRollout(t, d)
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", RestartCount: 1, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"},
	}}}
	if err := shared.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	shared.host.rebuild(image, "2")
	wantRestart(t, d)
}

func TestRestart_CatchesUpWithBuildsWhileItWasAway(t *testing.T) {
	image := builds("restart/away:local")
	d := asksForRestarts(newDeployment(newNamespace(t), "web", image))
	createWorkload(t, d)
	withoutProcess(t, func() { shared.host.rebuild(image, "2") })
	wantRestart(t, d)
	wantImages(t, rollOut(t, d), "localhost:5001/"+image+"@"+digestOfBuild(image, "2"))
}

func TestRestart_PushesABuildThatTheRegistryLacks(t *testing.T) {
	t.Parallel()
	image := builds("restart/pushed:local")
	d := asksForRestarts(newDeployment(newNamespace(t), "web", image))
	createWorkload(t, d)
	unblock := make(chan struct{})
	shared.host.add(image, imageOfBuild("2", unblock))
	shared.host.report(image)
	await(t, "being pushed", func() bool { return shared.host.pushesBegun(image) > 0 })
	if read(t, d); len(d.Spec.Template.Annotations) > 0 {
		t.Errorf("annotations of the template = %v before the registry has the build, want none", d.Spec.Template.Annotations)
	}
	close(unblock)
	wantRestart(t, d)
}

func TestRestart_MakesOneRestartOfBuildsInQuickSuccession(t *testing.T) {
	t.Parallel()
	image := builds("restart/succession:local")
	d := asksForRestarts(newDeployment(newNamespace(t), "web", image))
	createWorkload(t, d)
	before := d.Generation
	for build := range 50 {
		shared.host.rebuild(image, fmt.Sprint("quick ", build))
	}
	first := wantRestart(t, d)
	rollOut(t, d)
	read(t, d)
	between := d.Generation // greater by 2, because the rollout changes an annotation
	shared.host.rebuild(image, "last")
	await(t, "restarted again", func() bool {
		read(t, d)
		return d.Spec.Template.Annotations[config.RestartedAtAnnotation] != first
	})
	if took := parseTime(t, d.Spec.Template.Annotations[config.RestartedAtAnnotation]).Sub(parseTime(t, first)); took < 4*time.Second {
		t.Errorf("the second restart came %s after the first, want 4s at least", took)
	}
	if between != before+2 || d.Generation != between+1 {
		t.Errorf("generations %d, %d, %d, want one restart between each two", before, between, d.Generation)
	}
	wantImages(t, rollOut(t, d), "localhost:5001/"+image+"@"+digestOfBuild(image, "last"))
}

func TestRestart_RestartsInOrder(t *testing.T) {
	t.Parallel()
	image := builds("restart/many:local")
	ns := newNamespace(t)
	var all []*appsv1.Deployment
	for i := range 10 {
		d := newDeployment(ns, fmt.Sprintf("web-%d", i), image)
		createWorkload(t, d)
		all = append(all, d)
	}
	shared.host.rebuild(image, "2")
	labelNamespace(t, ns)
	for _, d := range all {
		wantRestart(t, d)
	}
	for i, d := range all[1:] {
		if one, next := versionOf(t, all[i]), versionOf(t, d); one > next {
			t.Errorf("%s was restarted after %s", all[i].Name, d.Name)
		}
	}
}

// versionOf returns the object's resource version, which grows with each change in the cluster.
func versionOf(t *testing.T, object client.Object) int {
	t.Helper()
	version, err := strconv.Atoi(object.GetResourceVersion())
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// wantWorkloadEvent waits until the workload has an Event of the type Normal with the reason, and with the text in its note.
func wantWorkloadEvent(t *testing.T, workload client.Object, reason, note string) {
	t.Helper()
	await(t, "told by an Event "+reason+" with "+note, func() bool {
		return slices.ContainsFunc(workloadEvents(t, workload), func(e eventsv1.Event) bool {
			return e.Type == corev1.EventTypeNormal && e.Reason == reason && strings.Contains(e.Note, note)
		})
	})
}

// workloadEvents returns the Events about the workload.
func workloadEvents(t *testing.T, workload client.Object) []eventsv1.Event {
	t.Helper()
	var events eventsv1.EventList
	if err := shared.List(t.Context(), &events, client.InNamespace(workload.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(events.Items, func(e eventsv1.Event) bool { return e.Regarding.UID != workload.GetUID() })
}
