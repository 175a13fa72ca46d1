package watch

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// listTimeout limits how long the API server may take to list the pods.
	listTimeout = 15 * time.Second
	// relistDelay is how long followPods waits before it lists the pods again. The API server ends each stream after some time.
	relistDelay = time.Second
)

// followCluster connects to the cluster and follows its pods until the connection is lost. An informer would retry silently, and log
// errors to a terminal on which a view is drawn.
func (w *watcher) followCluster(ctx context.Context) error {
	kube, err := w.options.ConnectCluster(ctx)
	if err != nil {
		return err
	}
	pods := kube.CoreV1().Pods(w.options.Namespace)
	for {
		version, err := w.listPods(ctx, pods)
		if err != nil {
			return err
		}
		if err := w.watchPods(ctx, pods, version); err != nil {
			return err
		}
		if !pause(ctx, relistDelay) {
			return ctx.Err()
		}
	}
}

// listPods lists the pods, and returns the version from which to watch them.
func (w *watcher) listPods(ctx context.Context, pods corev1client.PodInterface) (version string, err error) {
	limited, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := pods.List(limited, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("listing the cluster's pods: %w", err)
	}
	w.send(ctx, func(m *model) {
		m.cluster = Connection{Connected: true}
		m.listed(list.Items)
	})
	return list.ResourceVersion, nil
}

// watchPods follows the pods until the API server ends the stream. It returns an error if the API server does not answer.
func (w *watcher) watchPods(ctx context.Context, pods corev1client.PodInterface, version string) error {
	stream, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return fmt.Errorf("watching the cluster's pods: %w", err)
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		switch {
		case event.Type == watch.Error && apierrors.IsResourceExpired(apierrors.FromObject(event.Object)):
			return nil
		case event.Type == watch.Error:
			return fmt.Errorf("watching the cluster's pods: %w", apierrors.FromObject(event.Object))
		case !ok:
		case event.Type == watch.Deleted:
			w.send(ctx, func(m *model) { m.deleted(pod) })
		default:
			w.send(ctx, func(m *model) { m.changed(pod) })
		}
	}
	return nil
}
