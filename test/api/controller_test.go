//go:build api

package api

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// These tests have no kube-controller-manager. rollOut does what its controllers do.

// selectorOf returns the labels that all pods of the workload have.
func selectorOf(name string) map[string]string { return map[string]string{"app": name} }

// templateOf returns a pod template with one container.
func templateOf(name, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selectorOf(name)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
	}
}

// newDeployment returns a Deployment with one replica, but does not create it.
func newDeployment(ns, name, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: map[string]string{}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(name)}, Template: templateOf(name, image),
		},
	}
}

// newStatefulSet returns a StatefulSet with one replica, but does not create it.
func newStatefulSet(ns, name, image string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: map[string]string{}},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(name)}, Template: templateOf(name, image),
		},
	}
}

// newDaemonSet returns a DaemonSet, but does not create it.
func newDaemonSet(ns, name, image string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: map[string]string{}},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(name)}, Template: templateOf(name, image),
		},
	}
}

// templateIn returns the workload's pod template.
func templateIn(object client.Object) *corev1.PodTemplateSpec {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	default:
		return &object.(*appsv1.DaemonSet).Spec.Template
	}
}

// rollOut replaces the workload's pod by one of the current template, and sets the status of a complete rollout. It returns the pod.
func rollOut(t *testing.T, workload client.Object) *corev1.Pod {
	t.Helper()
	p := startRollout(t, workload)
	completeRollout(t, workload)
	return p
}

// startRollout is like rollOut, but leaves the rollout incomplete.
func startRollout(t *testing.T, workload client.Object) *corev1.Pod {
	t.Helper()
	read(t, workload)
	ns, name := workload.GetNamespace(), workload.GetName()
	old := []client.DeleteAllOfOption{client.InNamespace(ns), client.MatchingLabels(selectorOf(name)), client.GracePeriodSeconds(0)}
	if err := shared.DeleteAllOf(t.Context(), &corev1.Pod{}, old...); err != nil {
		t.Fatal(err)
	}
	hash := fmt.Sprintf("%d", workload.GetGeneration())
	p := &corev1.Pod{Spec: templateIn(workload).Spec}
	p.Namespace, p.GenerateName, p.Labels = ns, name+"-", selectorOf(name)
	owner, kind := workload, "StatefulSet"
	switch o := workload.(type) {
	case *appsv1.Deployment:
		owner, kind = newReplicaSet(t, o, hash), "ReplicaSet"
		p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	case *appsv1.DaemonSet:
		kind = "DaemonSet"
		newControllerRevision(t, o, hash)
		p.Labels[appsv1.ControllerRevisionHashLabelKey] = hash
	default:
		p.Labels[appsv1.ControllerRevisionHashLabelKey] = name + "-" + hash
	}
	p.OwnerReferences = []metav1.OwnerReference{controllerReference(kind, owner)}
	setStatus(t, workload, hash, false)
	return create(t, p)
}

// completeRollout sets the status of a complete rollout.
func completeRollout(t *testing.T, workload client.Object) {
	t.Helper()
	read(t, workload)
	setStatus(t, workload, fmt.Sprintf("%d", workload.GetGeneration()), true)
}

// setStatus sets the status of a rollout of the current template.
func setStatus(t *testing.T, workload client.Object, hash string, complete bool) {
	t.Helper()
	ready := int32(0)
	if complete {
		ready = 1
	}
	switch o := workload.(type) {
	case *appsv1.Deployment:
		o.Status = appsv1.DeploymentStatus{
			ObservedGeneration: o.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: ready, AvailableReplicas: ready,
		}
	case *appsv1.StatefulSet:
		o.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: o.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: ready, AvailableReplicas: ready,
			UpdateRevision: o.Name + "-" + hash,
		}
	case *appsv1.DaemonSet:
		o.Status = appsv1.DaemonSetStatus{
			ObservedGeneration: o.Generation, DesiredNumberScheduled: 1, CurrentNumberScheduled: 1, UpdatedNumberScheduled: 1,
			NumberReady: ready, NumberAvailable: ready,
		}
	}
	if err := shared.Status().Update(t.Context(), workload); err != nil {
		t.Fatal(err)
	}
}

// newReplicaSet creates the ReplicaSet of a Deployment's current template, and sets the Deployment's revision.
func newReplicaSet(t *testing.T, d *appsv1.Deployment, hash string) client.Object {
	t.Helper()
	const revision = "deployment.kubernetes.io/revision"
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + hash,
			Labels:          map[string]string{"app": d.Name, appsv1.DefaultDeploymentUniqueLabelKey: hash},
			Annotations:     map[string]string{revision: hash},
			OwnerReferences: []metav1.OwnerReference{controllerReference("Deployment", d)},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
	if err := shared.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	change(t, d, func() { metav1.SetMetaDataAnnotation(&d.ObjectMeta, revision, hash) })
	return set
}

// newControllerRevision creates the revision of a DaemonSet's current template.
func newControllerRevision(t *testing.T, d *appsv1.DaemonSet, hash string) {
	t.Helper()
	revision := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + hash, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{controllerReference("DaemonSet", d)},
		},
		Revision: d.Generation, Data: runtime.RawExtension{Raw: []byte(`{}`)},
	}
	if err := shared.Create(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}

// controllerReference returns the reference of an object's controller.
func controllerReference(kind string, owner client.Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: appsv1.SchemeGroupVersion.String(), Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true),
	}
}

// change changes an object on the API server.
func change(t *testing.T, object client.Object, how func()) {
	t.Helper()
	before := object.DeepCopyObject().(client.Object)
	how()
	if err := shared.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// read reads the object from the API server.
func read(t *testing.T, object client.Object) {
	t.Helper()
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
}

// createWorkload creates the workload and its pod. It is deleted when the test ends, so that later tests do not check it again.
func createWorkload(t *testing.T, workload client.Object) {
	t.Helper()
	if err := shared.Create(t.Context(), workload); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Delete(context.Background(), workload) })
	rollOut(t, workload)
}
