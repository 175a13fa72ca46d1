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

// check is how often the certificate is checked if no event triggers a check. It is short because timers stop while a computer
// sleeps, but certificates still expire; each check uses the wall clock.
const check = time.Minute

// settleTime is the time between publishing a new CA and serving its certificate. An API server learns about the CA through a
// watch, so it may do so later than this process.
const settleTime = 2 * time.Second

// A Keeper that is not ready yet returns these errors.
var (
	errNoCertificate = errors.New("there is no serving certificate yet")
	errNotPublished  = errors.New("the webhook configuration does not have the certificate's CA yet")
)

// Keeper maintains the serving certificate. Every replica runs a Keeper. The Keepers use the Secret's resource version to avoid
// overwriting each other's changes.
type Keeper struct {
	// Client reads and writes the Secret and the webhook configuration.
	Client client.Client
	// Secret names the Secret that contains the certificate.
	Secret types.NamespacedName
	// Configuration is the name of the MutatingWebhookConfiguration.
	Configuration string
	// DNSNames are the DNS names in the certificate. At least one is required.
	DNSNames []string
	// Path is the URL path that the API server calls, without the token at its end.
	Path string

	serving   atomic.Pointer[tls.Certificate]
	token     atomic.Pointer[string]
	published atomic.Bool
	leads     atomic.Bool

	// ca is the CA of the certificate being served. next is the certificate to serve next, or nil. Only Reconcile uses them.
	ca   []byte
	next *successor
}

// successor is the certificate to serve next. Its CA has already been published.
type successor struct {
	pair *tls.Certificate
	ca   []byte
	due  time.Time // when to serve it
}

// SetupWithManager adds the keeper to the manager. The manager's cache should contain only the keeper's Secret and webhook
// configuration.
func (k *Keeper) SetupWithManager(mgr manager.Manager) error {
	one := reconcile.Request{NamespacedName: k.Secret}
	toOne := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{one}
	})
	atStart := source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(one) // possibly neither object exists, and then no event would start the first Reconcile
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

// Reconcile creates or renews the certificate, then publishes its CA, and only then serves the certificate.
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

// succeed serves the material's certificate immediately, or schedules it if its CA is new. It returns when to reconcile again.
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

// settle serves the scheduled certificate once settleTime has passed, and otherwise returns the remaining time. Until then,
// Reconcile changes nothing. So the API server trusts the certificate being served even if CAs change in quick succession.
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

// serve makes s the certificate to serve from now on.
func (k *Keeper) serve(s *successor) {
	k.serving.Store(s.pair)
	k.ca = s.ca
}

// keep creates or renews the material in the Secret if necessary, and returns it. It returns nil if neither the Secret nor the
// webhook configuration exists. In that case, the chart is being uninstalled, and a new Secret would be left behind.
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

// write writes the material to the Secret, and creates the Secret if it is missing.
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

// gone reports whether the webhook configuration is missing.
func (k *Keeper) gone(ctx context.Context) (bool, error) {
	err := k.Client.Get(ctx, types.NamespacedName{Name: k.Configuration}, &admissionv1.MutatingWebhookConfiguration{})
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading webhook configuration %s: %w", k.Configuration, err)
	}
	return err != nil, nil
}

// Token returns the token at the end of the API server's path, or "" if there is none yet.
func (k *Keeper) Token() string {
	if known := k.token.Load(); known != nil {
		return *known
	}
	return ""
}

// GetCertificate returns the certificate to serve. It is for tls.Config.GetCertificate.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := k.serving.Load(); pair != nil {
		return pair, nil
	}
	return nil, errNoCertificate
}

// Remaining returns the time until the served certificate expires, or 0 if there is none.
func (k *Keeper) Remaining() time.Duration {
	pair := k.serving.Load()
	if pair == nil || pair.Leaf == nil {
		return 0
	}
	return time.Until(pair.Leaf.NotAfter)
}

// Ready is a healthz.Checker. It succeeds if a certificate is being served and its CA is published.
func (k *Keeper) Ready(*http.Request) error {
	if k.serving.Load() == nil {
		return errNoCertificate
	}
	if !k.published.Load() {
		return errNotPublished
	}
	return nil
}

// orLater returns the reconcile result for err. If another replica has written the object first, orLater schedules a retry
// instead of returning the error.
func orLater(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, err
}
