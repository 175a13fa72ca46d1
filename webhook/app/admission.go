package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"kind-local-registry/config"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/certs"
	"kind-local-registry/webhook/lookup"
	"kind-local-registry/webhook/podimage"
)

// admission answers the API server's requests. Every replica runs it.
type admission struct {
	handler      *webhook.Handler
	lookups      *lookup.Cache
	journal      *webhook.Journal
	pods         cache.Cache
	registryHost string
}

// addAdmission adds admission to the manager. Lookups and pushes end when ctx ends.
func addAdmission(ctx context.Context, mgr manager.Manager, options Options, pusher Pusher, log logr.Logger) (*admission, error) {
	counted, err := registered(webhook.NewMetrics())
	if err != nil {
		return nil, err
	}
	a := &admission{
		lookups:      lookup.NewCache(ctx, pusher, counted.LookedUp),
		journal:      webhook.NewJournal(log),
		pods:         mgr.GetCache(),
		registryHost: options.RegistryHost,
	}
	a.handler = &webhook.Handler{
		Decider:    &webhook.Decider{RegistryHost: options.RegistryHost, Looker: a.lookups, Rules: options.Rules.Current},
		Journal:    a.journal,
		Log:        log,
		Metrics:    counted,
		Guard:      webhook.NewLoopGuard(),
		Namespaces: namespaces{mgr.GetClient()},
		Pushes:     webhook.NewPushes(ctx, pusher, options.PushDeadline, log),
		Promises:   &webhook.Promises{Promiser: pusher, Log: log},
		Uncached:   pusher,
		Events:     mgr.GetEventRecorder(config.Name),
		Identity:   options.Identity,
	}
	return a, errors.Join(mgr.Add(a), mgr.Add(options.Rules))
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (a *admission) NeedLeaderElection() bool { return false }

// Start passes each new pod to the journal and the loop guard until ctx ends.
func (a *admission) Start(ctx context.Context) error {
	informer, err := a.pods.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, atStart bool) {
			if pod, ok := object.(*corev1.Pod); ok && !atStart {
				created := podimage.Read(pod, a.registryHost)
				a.journal.Created(created)
				a.handler.Guard.Created(created)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	a.journal.Follow(ctx)
	return nil
}

// namespaces reads a namespace's labels from the cache.
type namespaces struct{ reader client.Reader }

// Labels implements webhook.Namespaces.
func (n namespaces) Labels(ctx context.Context, name string) (map[string]string, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := n.reader.Get(ctx, types.NamespacedName{Name: name}, found); err != nil {
		return nil, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	return found.Labels, nil
}

// registered registers the metrics globally and returns them. If an earlier server in the process has already registered metrics,
// as happens in tests, registered returns that server's metrics instead.
func registered[Collector prometheus.Collector](made Collector) (Collector, error) {
	err := metrics.Registry.Register(made)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if before, ok := known.ExistingCollector.(Collector); ok {
			return before, nil
		}
	}
	if err != nil {
		return made, fmt.Errorf("registering metrics: %w", err)
	}
	return made, nil
}

// exposeExpiry adds a metric for the serving certificate's expiry, and removes it when stop is called.
func exposeExpiry(keeper *certs.Keeper) (stop func(), err error) {
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: config.MetricsNamespace, Name: "certificate_expiry_seconds",
		Help: "Seconds until the serving certificate expires, or 0 if there is none. It is renewed long before it expires.",
	}, func() float64 { return keeper.Remaining().Seconds() })
	err = metrics.Registry.Register(expiry)
	if _, known := errors.AsType[prometheus.AlreadyRegisteredError](err); known {
		return func() {}, nil // another server in this process has added it
	}
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return func() { metrics.Registry.Unregister(expiry) }, nil
}
