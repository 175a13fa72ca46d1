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

// The tests of this file take the certificate away, so they are not parallel.

func TestCertificate_SurvivesAnUpgradeOfTheChart(t *testing.T) {
	before := bundle(t)
	if err := shared.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := bundle(t); !bytes.Equal(before, after) {
		t.Errorf("caBundle after the upgrade = %q, want the one before, %q", after, before)
	}
}

func TestCertificate_IsPublishedAgainWhenTheBundleIsWiped(t *testing.T) {
	before := bundle(t)
	configuration := configuration(t)
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = nil
	}
	if err := shared.Update(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	await(t, "published again", func() bool { now := bundle(t); return len(now) > 0 && bytes.HasPrefix(before, now) })
}

func TestCertificate_IsOneForTwoReplicasAndRenewedForBoth(t *testing.T) {
	second := shared.process()
	second.options.Identity = "second"
	if err := freePorts(&second.options); err != nil {
		t.Fatal(err)
	}
	stop, err := serve(second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	before := served(t, second.options.WebhookPort)

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
		one, two := served(t, shared.options.WebhookPort), served(t, second.options.WebhookPort)
		return one.Equal(two) && !one.Equal(before)
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle(t))
	for name, cert := range map[string]*x509.Certificate{"new": served(t, second.options.WebhookPort), "old": before} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
			t.Errorf("the %s certificate is not trusted by caBundle: %v", name, err)
		}
	}
	shared.host.have("cert/app:local", image{inRegistry: true})
	wantImages(t, create(t, pod(namespace(t), "cert/app:local")), pinned("cert/app:local"))
}

// An uninstallation takes the configuration first, and the Secret while processes still run.
func TestCertificate_IsNotMadeAnewWhileThereIsNoConfiguration(t *testing.T) {
	secret := client.ObjectKey{Namespace: namespace(t), Name: config.ServingSecret}
	keeper := &certs.Keeper{Client: shared, Secret: secret, Configuration: secret.Namespace, DNSNames: []string{"localhost"}}
	reconcileOnce := func() error {
		if _, err := keeper.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		return shared.Get(t.Context(), secret, &corev1.Secret{})
	}
	if err := reconcileOnce(); !apierrors.IsNotFound(err) {
		t.Errorf("without the configuration, the Secret: %v, want none", err)
	}
	configuration := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: keeper.Configuration}}
	if err := shared.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	if err := reconcileOnce(); err != nil {
		t.Errorf("with the configuration, the Secret: %v, want one", err)
	}
}

// configuration returns the webhook configuration as it is now.
func configuration(t *testing.T) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	found := &admissionv1.MutatingWebhookConfiguration{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// bundle returns the caBundle as it is now, which is that of every webhook, or nil where they differ.
func bundle(t *testing.T) []byte {
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

// served returns the certificate that the process on the port serves.
func served(t *testing.T, port int) *x509.Certificate {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // #nosec G402 -- to look at it
	conn, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// await waits until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after %s", what, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
