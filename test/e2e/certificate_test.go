//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/app"
	"kind-local-registry/webhook/certs"
)

const day = 24 * time.Hour

// renewTimeout limits how long setup up may take to renew the pusher's certificates. It includes the time until the webhook uses them. By
// itself, a kubelet delivers a new certificate only after up to 90 s.
const renewTimeout = 30 * time.Second

func TestCertificate_RotationUnderLoadFailsNoCall(t *testing.T) {
	rotations := count(3, 50)
	load := startTraffic(t, "rotated", 100)
	for range rotations {
		before := servingSecret(t.Context(), t).Data[corev1.ServiceAccountRootCAKey]
		patch := []byte(`{"data":null}`)
		if _, err := suite.kube.CoreV1().Secrets(ours).Patch(t.Context(), config.ServingSecret, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		awaitServed(t, "a certificate of a new CA", func(secret *corev1.Secret) bool {
			return !bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], before)
		})
	}
	t.Logf("%d rotations of the CA and the certificate: %s", rotations, load.end(t))
}

// A node's clock cannot be changed, so the test installs a certificate that was issued 60 days ago.
func TestCertificate_NearExpiryIsRenewedWithinAMinute(t *testing.T) {
	aged, err := certs.Made(app.ServiceNames(ours, ours), time.Now().Add(-60*day))
	if err != nil {
		t.Fatal(err)
	}
	load := startTraffic(t, "near-its-end", 25)
	load.await(t, 50)
	secret := servingSecret(t.Context(), t)
	secret.Data = aged
	if _, err := suite.kube.CoreV1().Secrets(ours).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	awaitServed(t, "a certificate renewed by the same CA", func(secret *corev1.Secret) bool {
		return bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], aged[corev1.ServiceAccountRootCAKey]) &&
			time.Until(notAfter(t, secret.Data[corev1.TLSCertKey])) > 89*day
	})
	took := time.Since(start)
	load.await(t, 100)
	t.Logf("renewed and served %.1f s after it was due, without a manual step: %s", took.Seconds(), load.end(t))
}

// servingSecret returns the Secret that contains the webhook's serving certificate and its CA.
func servingSecret(ctx context.Context, t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := suite.kube.CoreV1().Secrets(ours).Get(ctx, config.ServingSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// awaitServed waits until wanted accepts the Secret, caBundle contains the Secret's CA, and the webhook serves the Secret's
// certificate.
func awaitServed(t *testing.T, what string, wanted func(*corev1.Secret) bool) {
	t.Helper()
	pod := webhookPod(t).Name
	eventually(t, time.Minute, what+" is served", func(ctx context.Context) string {
		secret := servingSecret(ctx, t)
		if len(secret.Data[corev1.TLSCertKey]) == 0 || !wanted(secret) {
			return "not in the Secret"
		}
		hook, err := suite.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, ours, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !bytes.HasPrefix(hook.Webhooks[0].ClientConfig.CABundle, secret.Data[corev1.ServiceAccountRootCAKey]) {
			return "its CA is not in caBundle"
		}
		return checkServedUntil(ctx, t, pod, notAfter(t, secret.Data[corev1.TLSCertKey]))
	})
}

// checkServedUntil returns "" if, according to the webhook pod's metrics, the pod serves a certificate that expires at want. The
// expiry identifies the certificate, because no two certificates expire at the same moment.
func checkServedUntil(ctx context.Context, t *testing.T, pod string, want time.Time) string {
	t.Helper()
	sent := time.Now()
	page, err := suite.kube.CoreV1().Pods(ours).ProxyGet("http", pod, "8080", "/metrics", nil).DoRaw(ctx)
	if err != nil {
		return err.Error()
	}
	received := time.Now()
	if received.Sub(sent) > time.Second {
		return "reading the metrics took more than a second"
	}
	remaining := time.Duration(sample(t, page, "kind_local_registry_certificate_expiry_seconds") * float64(time.Second))
	const rounding = 10 * time.Millisecond
	if want.Before(sent.Add(remaining-rounding)) || want.After(received.Add(remaining+rounding)) {
		return fmt.Sprintf("the served certificate expires in %s, the new one in %s", remaining, time.Until(want))
	}
	return ""
}

// webhookPod returns the webhook's only pod, ignoring terminating pods.
func webhookPod(t *testing.T) corev1.Pod {
	t.Helper()
	list, err := suite.kube.CoreV1().Pods(ours).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	staying := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	if len(staying) != 1 {
		t.Fatalf("the webhook has %d pods, want 1", len(staying))
	}
	return staying[0]
}

// notAfter returns the time at which a certificate expires.
func notAfter(t *testing.T, certificate []byte) time.Time {
	t.Helper()
	block, _ := pem.Decode(certificate)
	if block == nil {
		t.Fatal("the certificate is not PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.NotAfter
}

func TestPusherCertificate_NearExpiryIsReportedAndRenewed(t *testing.T) {
	image, want := pushedImage(t, "before-renewal")
	webhook := webhookPod(t)
	upAfterwards(t)
	useAgedCredentials(t)
	eventually(t, 3*time.Minute, "the webhook works with the certificate near expiry", func(ctx context.Context) string {
		problem := checkRewritten(ctx, image, want)
		if problem == "" {
			return ""
		}
		// A kubelet updates the Secret's volume when an annotation of the pod changes.
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"e2e/refreshed":%q}}}`, time.Now())
		if _, err := suite.kube.CoreV1().Pods(ours).Patch(ctx, webhook.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err.Error()
		}
		return problem
	})

	out, err := suite.run(t.Context(), "status", "--cluster", clusterName)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "certificates of "+config.PusherContainer) {
		t.Errorf("setup status = %v, want exit status 1 and a line about the pusher's certificates:\n%s", err, out)
	}
	start := time.Now()
	up(t)
	took := time.Since(start)
	t.Logf("setup up renewed the pusher's certificates, and the webhook used them, within %.0f s", took.Seconds())
	if took > renewTimeout {
		t.Errorf("setup up took %s, want at most %s", took, renewTimeout)
	}
	eventuallyRewrites(t)

	createPod(t, "after-renewal", namespace, podSpec(buildImage(t, "e2e/after-renewal:local", "hello")))
	awaitRunning(t, "after-renewal", time.Minute)
	if now := webhookPod(t); now.UID != webhook.UID || now.Status.ContainerStatuses[0].RestartCount != webhook.Status.ContainerStatuses[0].RestartCount {
		t.Error("the webhook was restarted, want it to reload its certificate")
	}
}

// useAgedCredentials replaces the certificates of the pusher and the webhook with ones that expire in 60 days.
func useAgedCredentials(t *testing.T) {
	t.Helper()
	made, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	life := time.Until(notAfter(t, made.ServerCert))
	aged, err := pusher.NewCredentials(time.Now().Add(60*day - life))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range aged.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	docker(t, "cp", dir+"/.", config.PusherContainer+":/etc/"+config.PusherContainer)
	docker(t, "restart", "-t", "2", config.PusherContainer)

	secret, err := suite.kube.CoreV1().Secrets(ours).Get(t.Context(), config.PusherSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{
		corev1.ServiceAccountRootCAKey: aged.CA, corev1.TLSCertKey: aged.ClientCert, corev1.TLSPrivateKeyKey: aged.ClientKey,
	}
	if _, err := suite.kube.CoreV1().Secrets(ours).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
