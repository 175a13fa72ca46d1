package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kind-local-registry/config"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/certs"
	"kind-local-registry/webhook/delivery"
	"kind-local-registry/webhook/endpoint"
	"kind-local-registry/webhook/imagewatch"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/restart"
	"kind-local-registry/webhook/uninstall"
)

// renewDeadline is how long the leader tries to renew its lease before it gives up. It is controller-runtime's default.
const renewDeadline = 10 * time.Second

// Pusher looks up, promises and pushes the host's images.
type Pusher interface {
	lookup.Looker
	webhook.Pusher
	webhook.Promiser
	delivery.BrokenPromises
	imagewatch.Events
}

// Run serves until ctx ends, and then drains. It fails if an option is invalid or a port is in use.
func Run(ctx context.Context, cluster *rest.Config, options Options, pusher Pusher, log logr.Logger) error {
	if err := options.Validate(); err != nil {
		return fmt.Errorf("reading options: %w", err)
	}
	keeper := &certs.Keeper{
		Secret:        types.NamespacedName{Namespace: options.Namespace, Name: config.ServingSecret},
		Configuration: config.Name,
		DNSNames:      options.DNSNames,
		Path:          webhook.Path,
	}
	mgr, err := newManager(cluster, options, keeper, log)
	if err != nil {
		return err
	}
	keeper.Client = mgr.GetClient()
	asking, stop := context.WithCancel(context.WithoutCancel(ctx)) // ends only after the last response
	admitting, err := addAdmission(asking, mgr, options, pusher, log)
	if err != nil {
		stop()
		return err
	}
	defer func() { stop(); admitting.lookups.Wait() }()
	images := imagewatch.New(pusher, admitting.lookups.Forget, log)
	deliverer := &delivery.Reconciler{
		Client:       mgr.GetClient(),
		Reader:       mgr.GetAPIReader(),
		Pusher:       pusher,
		Decisions:    admitting.handler,
		Events:       mgr.GetEventRecorder(config.Name),
		Images:       images.Channel(),
		RegistryHost: options.RegistryHost,
		Deadline:     options.PushDeadline,
	}
	promises := &delivery.PromiseWatcher{
		Reader: mgr.GetClient(), Promises: pusher, Events: mgr.GetEventRecorder(config.Name), Log: log,
	}
	unexpose, err := exposeExpiry(keeper)
	if err != nil {
		return err
	}
	defer unexpose()
	port := &endpoint.Port{
		Number: options.WebhookPort, Handler: endpoint.New(admitting.handler, keeper.Token), Certificates: keeper, Log: log,
	}
	err = errors.Join(keeper.SetupWithManager(mgr), deliverer.SetupWithManager(mgr), addUninstall(mgr, options), addPort(mgr, port),
		mgr.Add(promises), addRestarts(mgr, options, admitting.handler, images, pusher), mgr.Add(images))
	if err != nil {
		return err
	}
	serving, end := drained(ctx, port.Handler, options.Drain, func(ctx context.Context) bool { return configured(ctx, mgr.GetClient()) })
	defer end()
	if err := mgr.Start(serving); err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// drained returns a context that ends the given time after ctx does. The handler drains in between. If the API server no longer calls the
// process, because the webhook is being uninstalled, the context ends immediately.
func drained(
	ctx context.Context, handler *endpoint.Handler, while time.Duration, called func(context.Context) bool,
) (context.Context, context.CancelFunc) {
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		handler.Drain()
		last := time.AfterFunc(while, end)
		if !called(serving) {
			last.Stop()
			end()
		}
	})
	return serving, end
}

// configured reports whether our webhook configuration exists, or may exist.
func configured(ctx context.Context, cluster client.Reader) bool {
	err := cluster.Get(ctx, types.NamespacedName{Name: config.Name}, &admissionv1.MutatingWebhookConfiguration{})
	return !apierrors.IsNotFound(err)
}

// newManager returns the manager. Its caches contain only the objects that the process reads.
func newManager(
	cluster *rest.Config, options Options, keeper *certs.Keeper, log logr.Logger,
) (manager.Manager, error) {
	lock, err := newLock(cluster, options)
	if err != nil {
		return nil, err
	}
	mgr, err := manager.New(cluster, manager.Options{
		Scheme:                              scheme.Scheme,
		Logger:                              log,
		Cache:                               cache.Options{ByObject: cached(keeper, options)},
		Metrics:                             metricsserver.Options{BindAddress: address(options.MetricsPort)},
		HealthProbeBindAddress:              address(options.HealthPort),
		LeaderElection:                      options.LeaderElection,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true, // safe because the process ends with the manager
		// Controller names are unique in a process with one server; only tests start several servers in one process.
		Controller: controllerconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, nil
}

// newLock returns the lock for the leader election. Its identity is the pod's name. So if the leader's container is killed and
// restarts, it is the leader again immediately, without waiting for the lease to expire.
func newLock(cluster *rest.Config, options Options) (resourcelock.Interface, error) {
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, options.Namespace, config.Name,
		resourcelock.ResourceLockConfig{Identity: options.Identity}, cluster, renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("preparing the leader election: %w", err)
	}
	return lock, nil
}

// cached returns the objects to cache: the pods that have not ended, the certificate's Secret, the webhook configuration and, with
// restart on rebuild, the workloads' metadata.
func cached(keeper *certs.Keeper, options Options) map[client.Object]cache.ByObject {
	objects := map[client.Object]cache.ByObject{
		&corev1.Pod{}: {
			Field:     podimage.Active(),
			Transform: delivery.Strip,
		},
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{keeper.Secret.Namespace: {}},
			Field:      fields.OneTermEqualSelector("metadata.name", keeper.Secret.Name),
		},
		&admissionv1.MutatingWebhookConfiguration{}: {
			Field: fields.OneTermEqualSelector("metadata.name", keeper.Configuration),
		},
	}
	if options.RestartOnRebuild {
		for _, workload := range restart.Cached() {
			objects[workload] = cache.ByObject{Transform: restart.Strip}
		}
	}
	return objects
}

// addRestarts adds the controller that restarts workloads on a rebuild, if it is switched on.
func addRestarts(
	mgr manager.Manager, options Options, decisions restart.Decisions, images *imagewatch.Watcher, pusher Pusher,
) error {
	if !options.RestartOnRebuild {
		return nil
	}
	counted, err := registered(restart.NewMetrics())
	if err != nil {
		return err
	}
	controller := &restart.Reconciler{
		Client:       mgr.GetClient(),
		Reader:       mgr.GetAPIReader(),
		Pusher:       pusher,
		Decisions:    decisions,
		Rules:        options.Rules.Current,
		Events:       mgr.GetEventRecorder(config.Name),
		Metrics:      counted,
		RegistryHost: options.RegistryHost,
		Images:       images,
	}
	return controller.SetupWithManager(mgr)
}

// addUninstall adds the controller that uninstalls the webhook when the webhook's namespace is deleted. The controller needs a
// client without a cache.
func addUninstall(mgr manager.Manager, options Options) error {
	direct, err := client.New(mgr.GetConfig(), client.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
	})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	controller := &uninstall.Reconciler{Client: direct, Namespace: options.Namespace, RegistryHost: options.RegistryHost}
	return controller.SetupWithManager(mgr)
}

// addPort adds the webhook's port and the health checks /healthz and /readyz.
func addPort(mgr manager.Manager, port *endpoint.Port) error {
	return errors.Join(mgr.Add(port), mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("webhook", port.Ready))
}
