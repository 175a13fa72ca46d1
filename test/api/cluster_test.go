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

// startTimeout is how long the process may take to become ready.
const startTimeout = 30 * time.Second

// cluster consists of the webhook's process and an API server with the chart installed.
type cluster struct {
	client.Client

	access  *rest.Config
	options app.Options
	host    *host
	log     logr.Logger
	stop    func() error
}

// process is the configuration of one webhook process.
type process struct {
	access  *rest.Config
	options app.Options
	pusher  app.Pusher
	log     logr.Logger
}

// newCluster installs the chart on the API server.
func newCluster(ctx context.Context, access *rest.Config, log logr.Logger) (*cluster, error) {
	c, err := client.New(access, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	options := app.Defaults()
	options.DNSNames = []string{"localhost"}
	options.PushDeadline = time.Hour
	options.RestartOnRebuild = true
	options.Drain = 0 // no API server calls a stopped process
	if err := freePorts(&options); err != nil {
		return nil, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: config.Name}}
	if err := c.Create(ctx, namespace); err != nil {
		return nil, fmt.Errorf("creating the namespace: %w", err)
	}
	created := &cluster{Client: c, access: access, options: options, host: newHost(), log: log}
	return created, created.install(ctx)
}

// install applies the chart like Helm, but without the hooks. It replaces the webhook's Service with a URL, because no Service
// leads to the process.
func (c *cluster) install(ctx context.Context) error {
	objects, err := charttest.ObjectsIn(c.access, map[string]any{
		"pusher": map[string]any{"address": "172.18.255.253"}, "restartOnRebuild": true,
	})
	if err != nil {
		return err
	}
	url, err := c.url(ctx)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetAnnotations()["helm.sh/hook"] != "" {
			continue // there is no kubelet that could run the hook's pod
		}
		webhooks, _ := object.Object["webhooks"].([]any)
		for _, webhook := range webhooks {
			webhook.(map[string]any)["clientConfig"] = map[string]any{"url": url}
		}
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("helm")); err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// url returns the webhook's URL. If the configuration already exists, url returns its URL, because the webhook has set the URL's
// path.
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

// process returns the configuration that the process gets from the chart. The process has only the rights of its ServiceAccount.
func (c *cluster) process() process {
	access := rest.CopyConfig(c.access)
	access.Impersonate.UserName = config.ServiceAccountUser()
	return process{access: access, options: c.options, pusher: c.host, log: c.log}
}

// replaceProcess runs the process with a changed configuration until the test ends. Tests that use it are not parallel.
func (c *cluster) replaceProcess(t *testing.T, change func(*process)) {
	t.Helper()
	other := c.process()
	change(&other)
	c.restartProcess(t, other)
	t.Cleanup(func() { c.restartProcess(t, c.process()) })
}

// restartProcess stops the running process and starts the next one.
func (c *cluster) restartProcess(t *testing.T, next process) {
	t.Helper()
	if err := c.stop(); err != nil {
		t.Fatalf("stopping the process: %v", err)
	}
	stop, err := startProcess(next)
	if err != nil {
		t.Fatal(err)
	}
	c.stop = stop
}

// startProcess starts a process and waits until it is ready. Call stop to stop it.
func startProcess(p process) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, p.access, p.options, p.pusher, p.log) }()
	stop = func() error { cancel(); return <-done }
	deadline := time.After(startTimeout)
	for !ready(p.options) {
		select {
		case err := <-done:
			cancel()
			return nil, fmt.Errorf("serving: %w", err)
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("the process is not ready after %s", startTimeout), stop())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return stop, nil
}

// ready reports whether the process is ready.
func ready(options app.Options) bool {
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/readyz", options.HealthPort))
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePorts sets the options' ports to unused ports.
func freePorts(options *app.Options) error {
	for _, port := range []*int{&options.WebhookPort, &options.HealthPort, &options.MetricsPort} {
		listener, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			return fmt.Errorf("finding a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return nil
}
