package chart

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// slowAdmission is how long an admission may take. A lookup at the pusher takes at most 1.5 seconds of it.
const slowAdmission = 2 * time.Second

// CheckCertificate checks that the API server trusts the webhook's serving certificate. The webhook renews both by itself.
func (c *Chart) CheckCertificate(ctx context.Context) (step.State, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return step.State{}, err
	}
	hooks, err := kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, config.Name, metav1.GetOptions{})
	if err != nil {
		return step.State{}, err
	}
	secret, err := kube.CoreV1().Secrets(config.Name).Get(ctx, config.ServingSecret, metav1.GetOptions{})
	if err != nil {
		return step.State{}, err
	}
	until, err := trusted(hooks.Webhooks[0].ClientConfig.CABundle, secret.Data[corev1.TLSCertKey], time.Now())
	if err != nil {
		return step.State{ //nolint:nilerr // a state, not a failure
			Detail: err.Error(), Remedy: fmt.Sprintf("run kubectl rollout restart deployment/%s -n %s", config.Name, config.Name),
		}, nil
	}
	return step.State{OK: true, Detail: fmt.Sprintf("the CA bundle trusts the serving certificate until %s", until.Format(time.DateOnly))}, nil
}

// trusted returns when the certificate expires. It returns an error if the certificate is not valid at now, or is not trusted by the
// CA bundle. Both are PEM.
func trusted(bundle, certificate []byte, now time.Time) (time.Time, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return time.Time{}, errors.New("the webhook configuration has no CA bundle")
	}
	block, _ := pem.Decode(certificate)
	if block == nil {
		return time.Time{}, errors.New("the serving certificate's Secret has no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("parsing the serving certificate: %w", err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: config.Name + "." + config.Name + ".svc"})
	if err != nil {
		return time.Time{}, fmt.Errorf("the CA bundle does not trust the serving certificate: %w", err)
	}
	return leaf.NotAfter, nil
}

// CheckCall checks that the API server's calls reach the webhook. Its dry-run ConfigMap goes to the probe webhook, whose failure
// policy is Fail, so the error states the cause. A failed call about a pod would be ignored.
func (c *Chart) CheckCall(ctx context.Context) (step.State, error) {
	kube, err := c.cluster.Kube()
	if err != nil {
		return step.State{}, err
	}
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		GenerateName: config.Name + "-probe-", Labels: map[string]string{config.ProbeLabel: "true"},
	}}
	start := time.Now()
	answered, err := kube.CoreV1().ConfigMaps(config.Name).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return step.State{ //nolint:nilerr // a state, not a failure
			Detail: "the API server cannot call the webhook: " + err.Error(),
			Remedy: fmt.Sprintf("see kubectl get pods,networkpolicies -n %[1]s, and kubectl logs deployment/%[1]s -n %[1]s", config.Name),
		}, nil
	}
	if answered.Data[config.ProbeKey] == "" {
		return step.State{Detail: "the API server does not call the webhook", Remedy: reapply}, nil
	}
	took := time.Since(start)
	return step.State{OK: true, Detail: fmt.Sprintf("%s answered in %d ms", answered.Data[config.ProbeKey], took.Milliseconds())}, nil
}

// warnings collects the warnings in the API server's responses.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// recoveryTime is how long the webhook may take to notice that the pusher answers again.
const recoveryTime = 5 * time.Second

// CheckAdmission is like the step's check, but it tells why the pod is not rewritten, and how often the webhook was unavailable.
func (c *Chart) CheckAdmission(ctx context.Context) (state step.State, err error) {
	_ = step.Poll(ctx, recoveryTime, func(ctx context.Context) error {
		if state, err = c.tryAdmission(ctx); err == nil && !state.OK {
			return errors.New(state.Detail)
		}
		return nil // also for an error, which a second attempt does not change
	})
	return state, err
}

// tryAdmission makes one attempt of CheckAdmission.
func (c *Chart) tryAdmission(ctx context.Context) (step.State, error) {
	access, err := c.cluster.RESTConfig()
	if err != nil {
		return step.State{}, err
	}
	told := &warnings{}
	access = rest.CopyConfig(access)
	access.WarningHandler = told
	kube, err := kubernetes.NewForConfig(access)
	if err != nil {
		return step.State{}, err
	}
	image, took, err := admit(ctx, kube)
	if err != nil {
		return step.State{}, err
	}
	failed, err := failedOpen(ctx, kube)
	if err != nil {
		return step.State{}, err
	}
	see := fmt.Sprintf("see kubectl logs deployment/%s -n %s", config.Name, config.Name)
	switch {
	case !strings.HasPrefix(image, c.registry.Host()+"/"):
		detail := "a pod created now would not be rewritten"
		if len(told.texts) > 0 {
			detail += ": " + strings.Join(told.texts, "; ")
		}
		return step.State{Detail: detail, Remedy: see}, nil
	case took > slowAdmission:
		return step.State{Detail: fmt.Sprintf("the admission of a dry-run pod took %.1f s", took.Seconds()), Remedy: see}, nil
	}
	detail := fmt.Sprintf("a dry-run pod was rewritten in %d ms", took.Milliseconds())
	if failed > 0 {
		detail += fmt.Sprintf("; %s failed open since the API server started", step.Count(failed, "call"))
	}
	return step.State{OK: true, Detail: detail}, nil
}

var failOpenCount = regexp.MustCompile(
	`(?m)^apiserver_admission_webhook_fail_open_count\{[^}]*name="` + regexp.QuoteMeta(config.WebhookName) + `"[^}]*\} ([0-9.e+]+)$`)

// failedOpen returns how many calls of the webhook failed, so that pods kept their original images, since the API server started.
func failedOpen(ctx context.Context, kube kubernetes.Interface) (int, error) {
	page, err := kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return countFailedOpen(page), nil
}

// countFailedOpen adds up the failed calls in the API server's metrics.
func countFailedOpen(page []byte) int {
	var total float64
	for _, match := range failOpenCount.FindAllSubmatch(page, -1) {
		count, err := strconv.ParseFloat(string(match[1]), 64)
		if err == nil {
			total += count
		}
	}
	return int(total)
}
