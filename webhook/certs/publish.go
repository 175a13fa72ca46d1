package certs

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// onceElected returns a source that makes this process publish the path too. It does so as soon as the process becomes the
// leader, or immediately if there is no election. A leader is elected only after the previous leader has ended. So while an older
// version of the process is being replaced, the path never changes to one that the older version does not serve.
func (k *Keeper) onceElected(elected <-chan struct{}, one reconcile.Request) source.TypedSource[reconcile.Request] {
	return source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go func() {
			select {
			case <-elected:
				k.leads.Store(true)
				q.Add(one)
			case <-ctx.Done():
			}
		}()
		return nil
	})
}

// publish sets the CA bundle of every webhook in the configuration. The leader also sets the path with the token. A missing
// configuration is not an error, because uninstalling begins by deleting it.
func (k *Keeper) publish(ctx context.Context, held material) error {
	configuration := &admissionv1.MutatingWebhookConfiguration{}
	err := k.Client.Get(ctx, types.NamespacedName{Name: k.Configuration}, configuration)
	if apierrors.IsNotFound(err) {
		k.published.Store(false)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading webhook configuration %s: %w", k.Configuration, err)
	}
	before := configuration.DeepCopy()
	changed := false
	for i := range configuration.Webhooks {
		to := &configuration.Webhooks[i].ClientConfig
		if bundle := held.bundle(to.CABundle, time.Now()); !bytes.Equal(to.CABundle, bundle) {
			to.CABundle, changed = bundle, true
		}
		if k.leads.Load() && setPath(to, k.Path+"/"+string(held[token])) {
			changed = true
		}
	}
	if changed {
		patch := client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})
		if err := k.Client.Patch(ctx, configuration, patch); err != nil {
			return fmt.Errorf("writing the CA into webhook configuration %s: %w", k.Configuration, err)
		}
		log.FromContext(ctx).Info("certificate authority and path published")
	}
	k.published.Store(len(configuration.Webhooks) > 0)
	return nil
}

// setPath sets the webhook's path and reports whether the path has changed.
func setPath(to *admissionv1.WebhookClientConfig, path string) (changed bool) {
	if to.Service != nil {
		changed = to.Service.Path == nil || *to.Service.Path != path
		to.Service.Path = &path
		return changed
	}
	if to.URL == nil {
		return false
	}
	address, err := url.Parse(*to.URL)
	if err != nil || address.Path == path {
		return false // an invalid URL is impossible: the API server accepts only valid ones
	}
	address.Path = path
	to.URL = new(address.String())
	return true
}
