package uninstall

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reconciler watches the webhook's namespace. It makes the namespace the owner of our cluster-scoped objects, and uninstalls the
// webhook when the namespace is deleted. Every replica runs a Reconciler, because no replica knows whether another one can still
// uninstall the webhook.
type Reconciler struct {
	// Client reads from the API server, without a cache, and patches pods.
	Client client.Client
	// Namespace is the name of the webhook's namespace.
	Namespace string
	// RegistryHost is the registry's host in every rewritten reference, such as localhost:5001.
	RegistryHost string
}

// SetupWithManager adds the controller to the manager. The manager's cache should contain only the metadata of namespaces, and no
// webhook configuration except ours.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	one := reconcile.Request{NamespacedName: client.ObjectKey{Name: r.Namespace}}
	toOne := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{one}
	})
	ours := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == r.Namespace })
	// The webhook configuration may not exist yet when the process starts. If so, it gets its owner once it is created.
	installed := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	err := builder.ControllerManagedBy(mgr).Named("uninstall").
		For(&corev1.Namespace{}, builder.OnlyMetadata, builder.WithPredicates(ours, changing())).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, toOne, builder.WithPredicates(installed)).
		WithOptions(controller.Options{NeedLeaderElection: new(false)}).
		WithLogConstructor(func(*reconcile.Request) logr.Logger { return mgr.GetLogger().WithName("uninstall") }).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the uninstall controller: %w", err)
	}
	return nil
}

// changing selects two kinds of events about a namespace: it was created, or its deletion has begun.
func changing() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp() == nil && e.ObjectNew.GetDeletionTimestamp() != nil
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// Reconcile uninstalls the webhook if the namespace is being deleted. It has only 5 s before the namespace controller deletes the
// namespace's content, and with it our rights (namespaceDeletionGracePeriod in kubernetes,
// pkg/controller/namespace/namespace_controller.go). If the namespace is not being deleted, Reconcile makes it the owner of our
// cluster-scoped objects.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Client.Get(ctx, request.NamespacedName, namespace); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if namespace.DeletionTimestamp == nil {
		return reconcile.Result{}, own(ctx, r.Client, namespace)
	}
	ungated, err := Run(ctx, r.Client, r.RegistryHost)
	for _, pod := range ungated {
		log.FromContext(ctx).Info("pod ungated: the webhook is being uninstalled", "namespace", pod.Namespace, "pod", pod.Name)
	}
	return reconcile.Result{}, err
}
