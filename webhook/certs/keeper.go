package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// check is how often the certificate is checked without a cause. Each check compares the wall clock: timers stop while a
// computer sleeps, certificates expire.
const check = time.Minute

// settleTime is how long a new CA is published before its certificate is served: an API server learns of the CA by a watch,
// like this process and not at the same moment.
const settleTime = 2 * time.Second

// The errors of a Keeper that is not ready yet.
var (
	errNoCertificate = errors.New("there is no serving certificate yet")
	errNotPublished  = errors.New("the webhook configuration does not have the certificate's CA yet")
)

// Keeper maintains the serving certificate. Every replica runs one: they agree through the resource version of the Secret.
type Keeper struct {
	// Client reads and writes the Secret and the webhook configuration.
	Client client.Client
	// Secret is the Secret with the certificate.
	Secret types.NamespacedName
	// Configuration is the name of the MutatingWebhookConfiguration.
	Configuration string
	// DNSNames are the names of the certificate; at least one.
	DNSNames []string
	// Path is the path that the API server calls, without the token that follows.
	Path string

	serving   atomic.Pointer[tls.Certificate]
	token     atomic.Pointer[string]
	published atomic.Bool
	leads     atomic.Bool

	// Only Reconcile uses these: the CA of the certificate that is served, and the one to serve next, or nil.
	ca   []byte
	next *successor
}

// successor is a certificate of a new CA, which is published already.
type successor struct {
	pair *tls.Certificate
	ca   []byte
	due  time.Time // when it is served
}

// SetupWithManager adds the keeper to the manager. The manager's cache should hold the two objects only.
func (k *Keeper) SetupWithManager(mgr manager.Manager) error {
	one := reconcile.Request{NamespacedName: k.Secret}
	toOne := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{one}
	})
	atStart := source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(one) // neither object may exist to cause an event
		return nil
	})
	err := builder.ControllerManagedBy(mgr).Named("certs").
		Watches(&corev1.Secret{}, toOne).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, toOne).
		WatchesRawSource(atStart).
		WatchesRawSource(k.onceElected(mgr.Elected(), one)).
		WithOptions(controller.Options{
			NeedLeaderElection: new(false),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				time.Second, check),
		}).
		WithLogConstructor(func(*reconcile.Request) logr.Logger { return mgr.GetLogger().WithName("certs") }).
		Complete(k)
	if err != nil {
		return fmt.Errorf("adding the certificate keeper: %w", err)
	}
	return nil
}

// Reconcile makes or renews the certificate, then publishes its CA, and only then serves it.
func (k *Keeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if wait := k.settle(); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	held, err := k.keep(ctx)
	if err != nil {
		return orLater(err)
	}
	if held == nil {
		k.published.Store(false)
		return reconcile.Result{RequeueAfter: check}, nil
	}
	if err := k.publish(ctx, held); err != nil {
		return orLater(err)
	}
	return k.succeed(held)
}

// succeed serves the material's certificate: immediately, or for a new CA once that has settled. It returns when to check
// again.
func (k *Keeper) succeed(held material) (reconcile.Result, error) {
	pair, err := held.keyPair()
	if err != nil {
		return reconcile.Result{}, err
	}
	next := &successor{pair: pair, ca: held[caCert]}
	if k.serving.Load() == nil || bytes.Equal(next.ca, k.ca) {
		k.serve(next)
		return reconcile.Result{RequeueAfter: check}, nil
	}
	next.due = time.Now().Add(settleTime)
	k.next = next
	return reconcile.Result{RequeueAfter: settleTime}, nil
}

// settle serves the certificate of a new CA once that has settled, and returns the time until then. During that time nothing else
// changes: however fast one CA follows another, the API server trusts the certificate that is served.
func (k *Keeper) settle() time.Duration {
	if k.next == nil {
		return 0
	}
	if wait := time.Until(k.next.due); wait > 0 {
		return wait
	}
	k.serve(k.next)
	k.next = nil
	return 0
}

// serve serves the certificate from now on.
func (k *Keeper) serve(s *successor) {
	k.serving.Store(s.pair)
	k.ca = s.ca
}

// keep returns the material in the Secret, after it has made or renewed it if that is due. It returns none if neither the
// Secret nor the webhook configuration exists: the chart is being uninstalled, and a new Secret would stay behind.
func (k *Keeper) keep(ctx context.Context) (material, error) {
	secret := &corev1.Secret{}
	err := k.Client.Get(ctx, k.Secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("reading secret %s: %w", k.Secret, err)
	}
	if missing {
		gone, err := k.gone(ctx)
		if err != nil || gone {
			return nil, err
		}
	}
	held, changed, err := material(secret.Data).renewed(k.DNSNames, time.Now())
	if err == nil && changed {
		err = k.write(ctx, secret, held, missing)
	}
	if err != nil {
		return nil, err
	}
	k.token.Store(new(string(held[token])))
	return held, nil
}

// write writes the material to the Secret, which may not exist.
func (k *Keeper) write(ctx context.Context, secret *corev1.Secret, held material, missing bool) (err error) {
	secret.Data = held
	if missing {
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: k.Secret.Namespace, Name: k.Secret.Name}
		err = k.Client.Create(ctx, secret)
	} else {
		err = k.Client.Update(ctx, secret) // fails with a conflict if another replica was faster
	}
	if err != nil {
		return fmt.Errorf("writing secret %s: %w", k.Secret, err)
	}
	log.FromContext(ctx).Info("serving certificate made")
	return nil
}

// gone reports whether the webhook configuration does not exist.
func (k *Keeper) gone(ctx context.Context) (bool, error) {
	err := k.Client.Get(ctx, types.NamespacedName{Name: k.Configuration}, &admissionv1.MutatingWebhookConfiguration{})
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading webhook configuration %s: %w", k.Configuration, err)
	}
	return err != nil, nil
}

// Token returns the end of the path that only the API server knows, or "" without one.
func (k *Keeper) Token() string {
	if known := k.token.Load(); known != nil {
		return *known
	}
	return ""
}

// GetCertificate is tls.Config.GetCertificate. It returns the certificate that is served.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := k.serving.Load(); pair != nil {
		return pair, nil
	}
	return nil, errNoCertificate
}

// Remaining returns the time until the served certificate expires, or 0 without one.
func (k *Keeper) Remaining() time.Duration {
	pair := k.serving.Load()
	if pair == nil || pair.Leaf == nil {
		return 0
	}
	return time.Until(pair.Leaf.NotAfter)
}

// Ready is a healthz.Checker. It succeeds while a certificate is served whose CA is published.
func (k *Keeper) Ready(*http.Request) error {
	if k.serving.Load() == nil {
		return errNoCertificate
	}
	if !k.published.Load() {
		return errNotPublished
	}
	return nil
}

// orLater returns the result of a reconciler for the error: none if another replica was faster.
func orLater(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, err
}
