package reachability

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"kind-local-registry/config"
)

// askTime is how long one question may take: a little more than the timeout of the API server's call, 2 s in the chart.
const askTime = 4 * time.Second

// errNotAsked is what is wrong where the ConfigMap comes back as it was sent: the API server does not know the webhook's
// configuration yet.
var errNotAsked = errors.New("the API server did not ask the webhook")

// question is what is asked, again and again.
type question struct {
	configMaps typedcorev1.ConfigMapInterface
}

// newQuestion returns the question to the cluster about the webhook in the namespace.
func newQuestion(cluster *rest.Config, namespace string) (question, error) {
	unpooled, err := unpooledClient(cluster)
	if err != nil {
		return question{}, err
	}
	cluster = rest.CopyConfig(cluster)
	cluster.QPS = -1 // one question at a time, and the time of each is short
	client, err := kubernetes.NewForConfigAndClient(cluster, unpooled)
	if err != nil {
		return question{}, fmt.Errorf("making a client of the cluster: %w", err)
	}
	return question{client.CoreV1().ConfigMaps(namespace)}, nil
}

// unpooledClient returns a client that makes a connection for each request, so that where there are several API servers,
// it is not always the same one that is asked.
func unpooledClient(cluster *rest.Config) (*http.Client, error) {
	security, err := rest.TLSConfigFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's certificates: %w", err)
	}
	transport, err := rest.HTTPWrappersForConfig(cluster, &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: security, DisableKeepAlives: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making a transport to the cluster: %w", err)
	}
	return &http.Client{Transport: transport}, nil
}

// ask returns the name of the webhook's pod that answered. The error says why none did.
func (q question) ask(ctx context.Context) (answeredBy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		GenerateName: config.Name + "-probe-", Labels: map[string]string{config.ProbeLabel: "true"},
	}}
	created, err := q.configMaps.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", fmt.Errorf("creating a ConfigMap as a dry run: %w", err)
	}
	answeredBy, answered := created.Data[config.ProbeKey]
	if !answered {
		return "", errNotAsked
	}
	return answeredBy, nil
}
