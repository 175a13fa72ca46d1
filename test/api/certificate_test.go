//go:build api

package api

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/config"
	"kind-local-registry/webhook/certs"
)

// The tests in this file replace the certificate, so they are not parallel.

func TestCertificate_SurvivesAChartUpgrade(t *testing.T) {
	before := caBundle(t)
	if err := shared.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := caBundle(t); !bytes.Equal(before, after) {
		t.Errorf("caBundle after the upgrade = %q, want %q", after, before)
	}
}

func TestCertificate_IsRepublishedWhenTheCABundleIsWiped(t *testing.T) {
	before := caBundle(t)
	configuration := configuration(t)
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = nil
	}
	if err := shared.Update(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	await(t, "republished", func() bool { now := caBundle(t); return len(now) > 0 && bytes.HasPrefix(before, now) })
}

func TestCertificate_IsSharedAndRenewedByTwoReplicas(t *testing.T) {
	second := shared.process()
	second.options.Identity = "second"
	if err := freePorts(&second.options); err != nil {
		t.Fatal(err)
	}
	stop, err := startProcess(second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	before := servedCertificate(t, second.options.WebhookPort)

	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: config.Name, Name: config.ServingSecret}
	if err := shared.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["ca.key"] = []byte("broken")
	if err := shared.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}

	await(t, "renewed", func() bool {
		one, two := servedCertificate(t, shared.options.WebhookPort), servedCertificate(t, second.options.WebhookPort)
		return one.Equal(two) && !one.Equal(before)
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caBundle(t))
	for name, cert := range map[string]*x509.Certificate{"new": servedCertificate(t, second.options.WebhookPort), "old": before} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
			t.Errorf("caBundle does not trust the %s certificate: %v", name, err)
		}
	}
	shared.host.add("cert/app:local", image{inRegistry: true})
	wantImages(t, create(t, pod(newNamespace(t), "cert/app:local")), pinned("cert/app:local"))
}

// An uninstall deletes the configuration and then the Secret, both while processes are still running.
func TestCertificate_IsNotRecreatedWithoutAWebhookConfiguration(t *testing.T) {
	secret := client.ObjectKey{Namespace: newNamespace(t), Name: config.ServingSecret}
	keeper := &certs.Keeper{Client: shared, Secret: secret, Configuration: secret.Namespace, DNSNames: []string{"localhost"}}
	reconcileOnce := func() error {
		if _, err := keeper.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		return shared.Get(t.Context(), secret, &corev1.Secret{})
	}
	if err := reconcileOnce(); !apierrors.IsNotFound(err) {
		t.Errorf("getting the Secret without the configuration: %v, want not found", err)
	}
	configuration := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: keeper.Configuration}}
	if err := shared.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	if err := reconcileOnce(); err != nil {
		t.Errorf("getting the Secret with the configuration: %v", err)
	}
}

// configuration returns the current webhook configuration.
func configuration(t *testing.T) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	found := &admissionv1.MutatingWebhookConfiguration{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// caBundle returns the current caBundle, or nil if the webhooks in the configuration have different ones.
func caBundle(t *testing.T) []byte {
	t.Helper()
	webhooks := configuration(t).Webhooks
	first := webhooks[0].ClientConfig.CABundle
	for _, other := range webhooks[1:] {
		if !bytes.Equal(first, other.ClientConfig.CABundle) {
			return nil
		}
	}
	return first
}

// servedCertificate returns the certificate that the process on the port presents.
func servedCertificate(t *testing.T, port int) *x509.Certificate {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // #nosec G402 -- the test inspects the certificate
	conn, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// await waits until the condition is true. It fails the test if this takes longer than the time limit (patience).
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within %s", what, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
