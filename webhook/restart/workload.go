package restart

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// Kind is the kind of a workload.
type Kind string

// The kinds of workloads that can be restarted.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	DaemonSet   Kind = "DaemonSet"
)

// kinds returns all kinds in the order in which their workloads are restarted.
func kinds() []Kind { return []Kind{DaemonSet, Deployment, StatefulSet} }

// newObject returns an empty object of the kind.
func (k Kind) newObject() client.Object {
	switch k {
	case DaemonSet:
		return &appsv1.DaemonSet{}
	case StatefulSet:
		return &appsv1.StatefulSet{}
	default:
		return &appsv1.Deployment{}
	}
}

// Request names the workload to check.
type Request struct {
	Kind Kind
	client.ObjectKey
}

// String returns the workload as kubectl names it, with its namespace.
func (r Request) String() string {
	return fmt.Sprintf("%s/%s in namespace %s", strings.ToLower(string(r.Kind)), r.Name, r.Namespace)
}

// workload is what the controller must know about a Deployment, StatefulSet or DaemonSet.
type workload struct {
	client.Object

	kind     Kind
	template *corev1.PodTemplateSpec
	// paused reports whether a Deployment is paused. onDelete reports whether pods are replaced only when they are deleted.
	paused, onDelete bool
	// observed reports whether the status is that of the current spec. updated reports whether the rollout of the current template is
	// complete.
	observed, updated bool
	// revision is the revision of the current template, in the form that the kind uses.
	revision string
}

// revisionAnnotation is the annotation with a Deployment's revision, and with the revision of each of its ReplicaSets.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// newWorkload returns the workload in the object. The conditions for updated are those of kubectl rollout status.
func newWorkload(kind Kind, object client.Object) *workload {
	w := &workload{Object: object, kind: kind}
	switch o := object.(type) {
	case *appsv1.Deployment:
		status, replicas := o.Status, wanted(o.Spec.Replicas)
		w.template, w.paused, w.revision = &o.Spec.Template, o.Spec.Paused, o.Annotations[revisionAnnotation]
		w.observed = status.ObservedGeneration >= o.Generation
		w.updated = status.UpdatedReplicas >= replicas && status.Replicas <= status.UpdatedReplicas &&
			status.AvailableReplicas >= status.UpdatedReplicas
	case *appsv1.StatefulSet:
		status, replicas := o.Status, wanted(o.Spec.Replicas)
		w.template, w.revision = &o.Spec.Template, o.Status.UpdateRevision
		w.onDelete = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
		w.observed = status.ObservedGeneration >= o.Generation
		w.updated = status.UpdatedReplicas >= replicas-partition(o) && status.ReadyReplicas >= replicas
	case *appsv1.DaemonSet:
		status := o.Status
		w.template = &o.Spec.Template
		w.onDelete = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
		w.observed = status.ObservedGeneration >= o.Generation
		w.updated = status.UpdatedNumberScheduled >= status.DesiredNumberScheduled && status.NumberAvailable >= status.DesiredNumberScheduled
	}
	return w
}

// wanted returns a number of replicas, whose default is 1.
func wanted(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

// partition returns how many pods of the StatefulSet an update leaves at their old revision.
func partition(set *appsv1.StatefulSet) int32 {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.Partition == nil {
		return 0
	}
	return min(*rolling.Partition, wanted(set.Spec.Replicas))
}

// optedIn reports whether a workload asks for restarts, with its own annotation or with its namespace's label.
func optedIn(workload, namespace map[string]string) bool {
	return cmp.Or(workload[config.RestartAnnotation], namespace[config.RestartAnnotation]) == "true"
}

// restartedAt returns when the workload was last restarted, by the annotation that kubectl rollout restart and we set. It returns the
// zero time if it never was.
func (w *workload) restartedAt() time.Time {
	at, err := time.Parse(time.RFC3339, w.template.Annotations[config.RestartedAtAnnotation])
	if err != nil {
		return time.Time{}
	}
	return at
}

// restartedByUs reports whether we were the last to restart the workload.
func (w *workload) restartedByUs() bool {
	for _, entry := range w.GetManagedFields() {
		if entry.Manager == fieldManager && entry.FieldsV1 != nil &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:`+config.RestartedAtAnnotation+`"`) {
			return true
		}
	}
	return false
}

// reference returns the workload for an Event.
func (w *workload) reference() *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: appsv1.SchemeGroupVersion.String(), Kind: string(w.kind), Namespace: w.GetNamespace(), Name: w.GetName(), UID: w.GetUID(),
	}
}

// currentPods returns the pods of the workload's current template that have not ended. It returns none if the controller of the
// workload has not seen the current template yet.
func (w *workload) currentPods(ctx context.Context, reader client.Reader) ([]corev1.Pod, error) {
	if !w.observed {
		return nil, nil
	}
	owner, label, revision, err := w.currentRevision(ctx, reader)
	if err != nil || revision == "" {
		return nil, err
	}
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.InNamespace(w.GetNamespace()), client.MatchingLabels{label: revision}); err != nil {
		return nil, fmt.Errorf("listing the pods of %s %s: %w", w.kind, client.ObjectKeyFromObject(w), err)
	}
	var current []corev1.Pod
	for i := range pods.Items {
		if pod := &pods.Items[i]; metav1.IsControlledBy(pod, owner) && pod.DeletionTimestamp == nil &&
			pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			current = append(current, *pod)
		}
	}
	return current, nil
}

// currentRevision returns the owner of the pods of the current template, and the label that those pods have. The revision is "" if there
// are no such pods yet.
func (w *workload) currentRevision(ctx context.Context, reader client.Reader) (owner metav1.Object, label, revision string, err error) {
	switch w.kind {
	case Deployment:
		owner, revision, err = w.currentReplicaSet(ctx, reader)
		return owner, appsv1.DefaultDeploymentUniqueLabelKey, revision, err
	case DaemonSet:
		revision, err = w.currentControllerRevision(ctx, reader)
		return w, appsv1.ControllerRevisionHashLabelKey, revision, err
	default:
		return w, appsv1.ControllerRevisionHashLabelKey, w.revision, nil
	}
}

// currentReplicaSet returns a Deployment's ReplicaSet with the Deployment's revision, and the label of its pods.
func (w *workload) currentReplicaSet(ctx context.Context, reader client.Reader) (metav1.Object, string, error) {
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	if err := reader.List(ctx, sets, client.InNamespace(w.GetNamespace())); err != nil {
		return nil, "", fmt.Errorf("listing the ReplicaSets of Deployment %s: %w", client.ObjectKeyFromObject(w), err)
	}
	for i := range sets.Items {
		if set := &sets.Items[i]; metav1.IsControlledBy(set, w) && set.Annotations[revisionAnnotation] == w.revision {
			return set, set.Labels[appsv1.DefaultDeploymentUniqueLabelKey], nil
		}
	}
	return nil, "", nil
}

// currentControllerRevision returns the label of the pods of a DaemonSet's newest revision.
func (w *workload) currentControllerRevision(ctx context.Context, reader client.Reader) (string, error) {
	var revisions appsv1.ControllerRevisionList
	if err := reader.List(ctx, &revisions, client.InNamespace(w.GetNamespace())); err != nil {
		return "", fmt.Errorf("listing the revisions of DaemonSet %s: %w", client.ObjectKeyFromObject(w), err)
	}
	newest, label := int64(-1), ""
	for i := range revisions.Items {
		if r := &revisions.Items[i]; metav1.IsControlledBy(r, w) && r.Revision > newest {
			newest, label = r.Revision, r.Labels[appsv1.ControllerRevisionHashLabelKey]
		}
	}
	return label, nil
}
