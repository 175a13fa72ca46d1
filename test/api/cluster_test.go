//go:build api

package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
	"kind-local-registry/webhook/app"
)

// startTime is how long the process may take to be ready.
const startTime = 30 * time.Second

// cluster is an API server with the chart in it, and the webhook's process beside it.
type cluster struct {
	client.Client

	access  *rest.Config
	options app.Options
	host    *host
	log     logr.Logger
	stop    func() error
}

// process is what is needed to run the webhook's process.
type process struct {
	access  *rest.Config
	options app.Options
	pusher  app.Pusher
	log     logr.Logger
}

// newCluster makes what installing the chart would.
func newCluster(ctx context.Context, access *rest.Config, log logr.Logger) (*cluster, error) {
	c, err := client.New(access, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	options := app.Defaults()
	options.DNSNames = []string{"localhost"}
	options.PushDeadline = time.Hour
	options.Drain = 0 // no API server keeps on calling one that was stopped
	if err := freePorts(&options); err != nil {
		return nil, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	if err := c.Create(ctx, namespace); err != nil {
		return nil, fmt.Errorf("creating the namespace: %w", err)
	}
	made := &cluster{Client: c, access: access, options: options, host: newHost(), log: log}
	return made, made.install(ctx)
}

// install applies the chart as Helm does, but for its hooks, and for the webhook's address: no Service leads to this process.
func (c *cluster) install(ctx context.Context) error {
	objects, err := charttest.ObjectsIn(c.access, map[string]any{"pusher": map[string]any{"address": "172.18.255.253"}})
	if err != nil {
		return err
	}
	url, err := c.url(ctx)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetAnnotations()["helm.sh/hook"] != "" {
			continue // there is nobody here to run a pod
		}
		webhooks, _ := object.Object["webhooks"].([]any)
		for _, asked := range webhooks {
			asked.(map[string]any)["clientConfig"] = map[string]any{"url": url}
		}
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("helm")); err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// url returns the webhook's URL. Its path is the one that is there, as the chart leaves that to the webhook.
func (c *cluster) url(ctx context.Context) (string, error) {
	found := &admissionv1.MutatingWebhookConfiguration{}
	err := c.Get(ctx, client.ObjectKey{Name: config.Name}, found)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("https://localhost:%d", c.options.WebhookPort), nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the webhook configuration: %w", err)
	}
	return *found.Webhooks[0].ClientConfig.URL, nil
}

// process returns the process as the chart runs it: with the rights of the chart's ServiceAccount, and no more.
func (c *cluster) process() process {
	access := rest.CopyConfig(c.access)
	access.Impersonate.UserName = config.ServiceAccountUser()
	return process{access: access, options: c.options, pusher: c.host, log: c.log}
}

// replace stops the process and runs another one until the test ends. Tests that use it are not parallel.
func (c *cluster) replace(t *testing.T, change func(*process)) {
	t.Helper()
	other := c.process()
	change(&other)
	c.restart(t, other)
	t.Cleanup(func() { c.restart(t, c.process()) })
}

// restart stops the process that runs and runs another one.
func (c *cluster) restart(t *testing.T, next process) {
	t.Helper()
	if err := c.stop(); err != nil {
		t.Fatalf("stopping the process: %v", err)
	}
	stop, err := serve(next)
	if err != nil {
		t.Fatal(err)
	}
	c.stop = stop
}

// serve starts a process and waits until it is ready. The function that it returns stops it.
func serve(p process) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, p.access, p.options, p.pusher, p.log) }()
	stop = func() error { cancel(); return <-done }
	deadline := time.After(startTime)
	for !ready(p.options) {
		select {
		case err := <-done:
			cancel()
			return nil, fmt.Errorf("serving: %w", err)
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("the process is not ready after %s", startTime), stop())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return stop, nil
}

// ready says whether the process is ready.
func ready(options app.Options) bool {
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/readyz", options.HealthPort))
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePorts gives the options ports that nobody listens on.
func freePorts(options *app.Options) error {
	for _, port := range []*int{&options.WebhookPort, &options.HealthPort, &options.MetricsPort} {
		listener, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			return fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return nil
}
