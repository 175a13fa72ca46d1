//go:build api

package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/explain"
	"kind-local-registry/webhook/livepod"
)

// liveCluster returns the shared cluster as package livepod reads it.
func liveCluster(t *testing.T) *livepod.Cluster {
	t.Helper()
	cluster, err := livepod.NewCluster(shared.access)
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// target parses a target.
func target(t *testing.T, argument string) livepod.Target {
	t.Helper()
	parsed, ok := livepod.Parse(argument)
	if !ok {
		t.Fatalf("%s is no target", argument)
	}
	return parsed
}

// ownedBy returns the metadata of an object that the owner controls. No owner means none.
func ownedBy(namespace, name string, owner client.Object, controller bool) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	if owner != nil {
		kinds, _, _ := shared.Scheme().ObjectKinds(owner)
		version, kind := kinds[0].ToAPIVersionAndKind()
		meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: &controller}}
	}
	return meta
}

// createOwners creates workloads, and pods that belong to them, in place of the controllers that the API server lacks.
func createOwners(t *testing.T, ns string) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod(ns, "a:1").Spec}
	once := *template.DeepCopy()
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	deployment := &appsv1.Deployment{ObjectMeta: ownedBy(ns, "web", nil, false), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}
	cron := &batchv1.CronJob{ObjectMeta: ownedBy(ns, "nightly", nil, false), Spec: batchv1.CronJobSpec{
		Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}},
	}}
	set := &appsv1.DaemonSet{ObjectMeta: ownedBy(ns, "agent", nil, false), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	add := func(object client.Object) {
		if err := shared.Create(t.Context(), object); err != nil {
			t.Fatalf("creating %s: %v", object.GetName(), err)
		}
	}
	add(deployment)
	add(cron)
	add(set)
	replicas := &appsv1.ReplicaSet{ObjectMeta: ownedBy(ns, "web-1", deployment, true), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}
	job := &batchv1.Job{ObjectMeta: ownedBy(ns, "nightly-now", cron, false), Spec: batchv1.JobSpec{Template: once}}
	add(replicas)
	add(job)
	for name, owner := range map[string]client.Object{"web-1-a": replicas, "web-1-b": replicas, "nightly-now-a": job, "agent-a": set, "alone": nil} {
		p := pod(ns, "a:1")
		p.ObjectMeta = ownedBy(ns, name, owner, true)
		create(t, p)
	}
}

func TestLivePod_FindsThePodsOfEachKindOfOwner(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	createOwners(t, ns)
	for argument, want := range map[string][]string{
		"deploy/web": {"web-1-a of Deployment web", "web-1-b of Deployment web"}, "rs/web-1": {"web-1-a of Deployment web", "web-1-b of Deployment web"},
		"pod/web-1-b": {"web-1-b of Deployment web"}, "job/nightly-now": {"nightly-now-a of CronJob nightly"},
		"cronjob/nightly": {"nightly-now-a of CronJob nightly"}, "ds/agent": {"agent-a of DaemonSet agent"}, "pod/alone": {"alone of  "},
	} {
		found, err := liveCluster(t).Find(t.Context(), ns, target(t, argument))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range found {
			got = append(got, one.Pod.Name+" of "+one.Owner.Kind+" "+one.Owner.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pods of %s (-want +got):\n%s", argument, diff)
		}
	}
}

func TestLivePod_NamesTheNamespacesThatHaveTheName(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	name := "only-in-" + ns
	p := pod(ns, "a:1")
	p.Name = name
	create(t, p)
	for argument, want := range map[string]string{
		"pod/" + name:    "no Pod " + name + " in namespace default, but in namespace " + ns + "; add -n " + ns,
		"deploy/" + name: "no Deployment " + name + " in namespace default; kubectl get deployments -A lists those that exist",
	} {
		_, err := liveCluster(t).Find(t.Context(), metav1.NamespaceDefault, target(t, argument))
		if missing := new(livepod.NotFoundError); !errors.As(err, &missing) || err.Error() != want {
			t.Errorf("Find of %s = %v, want %s", argument, err, want)
		}
	}
}

// noNodes is the pusher of a fake host, which has no linker.
type noNodes struct{ *host }

// NodeLayers implements livepod.Pusher.
func (noNodes) NodeLayers(context.Context, string) ([]linkapi.NodeLayers, error) { return nil, nil }

func TestLivePod_ExplainsAFailedPullByItsEvent(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	const name, cause = "livepod-none:1", `Failed to pull image "livepod-none:1": not found`
	p := create(t, pod(ns, name))
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c0", Image: name, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"},
	}}}
	if err := shared.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	writeKubeletEvent(t, p, cause)
	later := newHost() // the webhook does not know this host, and so does not heal the pod
	later.add(name, image{inRegistry: true})
	explained, err := explainLive(t, ns, later)
	if err != nil || len(explained.Pods) != 1 {
		t.Fatalf("Explain = %+v, %v, want one pod", explained, err)
	}
	got := explained.Pods[0].Images[0]
	if got.Pull == nil || got.Pull.Message != cause || got.Build != livepod.NotUsed || got.Now.Reason != rewrite.Rewritten {
		t.Errorf("Explain = %+v, pull %+v, now %+v; want the Event's cause, and the host's image not used", got, got.Pull, got.Now)
	}
	if !strings.Contains(got.Unlogged, "no pod") { // the process of these tests is no pod
		t.Errorf("unlogged = %q, want that the webhook has no pod", got.Unlogged)
	}
}

// explainLive explains the pod named pod, with the images of the given host.
func explainLive(t *testing.T, ns string, images *host) (livepod.Explanation, error) {
	t.Helper()
	explainer := livepod.Explainer{
		Cluster: liveCluster(t), RegistryHost: shared.options.RegistryHost, Pusher: noNodes{images},
		Decisions: explain.Explainer{
			RegistryHost: shared.options.RegistryHost, Rules: rules.Default(),
			ClusterLabels: func(context.Context) map[string]map[string]string { return nil },
		},
	}
	return explainer.Explain(t.Context(), ns, []livepod.Target{target(t, "pod/pod")})
}

// writeKubeletEvent writes an Event about the pod, and an older one about something else.
func writeKubeletEvent(t *testing.T, p *corev1.Pod, message string) {
	t.Helper()
	for name, text := range map[string]string{"new": message, "old": `Failed to pull image "livepod-none:1": an earlier cause`} {
		at := metav1.NewTime(time.Now())
		if name == "old" {
			at = metav1.NewTime(at.Add(-time.Hour))
		}
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: p.Namespace, Name: name},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
			Reason:         "Failed", Message: text, LastTimestamp: at, FirstTimestamp: at,
		}
		if err := shared.Create(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
}
