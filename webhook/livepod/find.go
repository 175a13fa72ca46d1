package livepod

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// Cluster reads from the API server.
type Cluster struct {
	kube     kubernetes.Interface
	metadata metadata.Interface
}

// NewCluster returns the cluster that access leads to. It sends no request.
func NewCluster(access *rest.Config) (*Cluster, error) {
	kube, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(access)
	if err != nil {
		return nil, err
	}
	return &Cluster{kube, objects}, nil
}

// Object names the object that a pod belongs to.
type Object struct{ Kind, Name string }

// Found is a pod with the object that it belongs to.
type Found struct {
	Pod *corev1.Pod
	// Owner is the workload, such as the Deployment and not its ReplicaSet. It is the zero Object if the pod has no controller.
	Owner Object
}

// NotFoundError means that the namespace has no object with the target's name.
type NotFoundError struct {
	Target    Target
	Namespace string
	// Elsewhere lists the namespaces that have such an object.
	Elsewhere []string
}

// Error names the object and the namespace, and tells where there is one.
func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("no %s %s in namespace %s", e.Target.Kind, e.Target.Name, e.Namespace)
	switch len(e.Elsewhere) {
	case 0:
		return text + "; kubectl get " + e.Target.resource.Resource + " -A lists those that exist"
	case 1:
		return fmt.Sprintf("%s, but in namespace %s; add -n %[2]s", text, e.Elsewhere[0])
	}
	return fmt.Sprintf("%s, but in the namespaces %s; choose one with -n", text, strings.Join(e.Elsewhere, ", "))
}

// Find returns the target's pods in the namespace, in the order of their names. The error is a *NotFoundError if the target does not
// exist. A target without pods is not an error.
func (c *Cluster) Find(ctx context.Context, namespace string, target Target) ([]Found, error) {
	wanted, err := c.metadata.Resource(target.resource).Namespace(namespace).Get(ctx, target.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, c.notFound(ctx, namespace, target)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s in namespace %s: %w", target, namespace, err)
	}
	options := metav1.ListOptions{}
	if target.Kind == "Pod" {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, target.Name).String()
	}
	pods, err := c.kube.CoreV1().Pods(namespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("listing the pods in namespace %s: %w", namespace, err)
	}
	owners, err := c.owners(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var found []Found
	for i := range pods.Items {
		pod := &pods.Items[i]
		chain := owners.chain(pod)
		if pod.UID != wanted.UID && !owned(chain, wanted.UID) {
			continue
		}
		one := Found{Pod: pod}
		if len(chain) > 0 {
			one.Owner = Object{chain[len(chain)-1].Kind, chain[len(chain)-1].Name}
		}
		found = append(found, one)
	}
	return found, nil
}

// notFound returns the error about a target that does not exist. It looks for the target's name in all namespaces.
func (c *Cluster) notFound(ctx context.Context, namespace string, target Target) error {
	missing := &NotFoundError{Target: target, Namespace: namespace}
	named := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, target.Name).String()}
	list, err := c.metadata.Resource(target.resource).List(ctx, named)
	if err != nil {
		return missing // without the hint
	}
	for i := range list.Items {
		missing.Elsewhere = append(missing.Elsewhere, list.Items[i].Namespace)
	}
	return missing
}

// owners maps a ReplicaSet or a Job to its controller, by the UID of the ReplicaSet or the Job.
type owners map[types.UID]metav1.OwnerReference

// owners returns the controllers of all ReplicaSets and Jobs in the namespace.
func (c *Cluster) owners(ctx context.Context, namespace string) (owners, error) {
	known := owners{}
	for _, resource := range []schema.GroupVersionResource{replicaSets, jobs} {
		list, err := c.metadata.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing the %s in namespace %s: %w", resource.Resource, namespace, err)
		}
		for i := range list.Items {
			if owner := ownerOf(&list.Items[i]); owner != nil {
				known[list.Items[i].UID] = *owner
			}
		}
	}
	return known, nil
}

// ownerOf returns the object's controller. kubectl create job --from=cronjob/NAME makes the CronJob an owner, but not the controller.
func ownerOf(object metav1.Object) *metav1.OwnerReference {
	if controller := metav1.GetControllerOf(object); controller != nil {
		return controller
	}
	for _, owner := range object.GetOwnerReferences() {
		if owner.Kind == "CronJob" {
			return &owner
		}
	}
	return nil
}

// chain returns the pod's controller, and the controller of that if there is one.
func (o owners) chain(pod *corev1.Pod) []metav1.OwnerReference {
	first := metav1.GetControllerOf(pod)
	if first == nil {
		return nil
	}
	if second, known := o[first.UID]; known {
		return []metav1.OwnerReference{*first, second}
	}
	return []metav1.OwnerReference{*first}
}

// owned reports whether an owner in the chain has the UID.
func owned(chain []metav1.OwnerReference, uid types.UID) bool {
	for _, owner := range chain {
		if owner.UID == uid {
			return true
		}
	}
	return false
}
