//go:build load

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// sendSteadily sends perSecond reviews per second without waiting for earlier answers (an open loop). It returns one sample for
// each review, in order.
func (s server) sendSteadily(t *testing.T, perSecond int, during time.Duration, padding int) []sample {
	t.Helper()
	samples := make([]sample, int(during.Seconds()*float64(perSecond)))
	var sending sync.WaitGroup
	start := time.Now()
	for i := range samples {
		body := review(t, i, padding)
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		sending.Go(func() { samples[i] = s.send(t.Context(), body, due) })
	}
	sending.Wait()
	return samples
}

// sendConcurrently runs the given number of callers. Each caller sends its next review when it has received the previous answer.
func (s server) sendConcurrently(t *testing.T, callers int, during time.Duration, padding int) (samples []sample) {
	t.Helper()
	var mu sync.Mutex
	var sending sync.WaitGroup
	var next atomic.Int64
	end := time.Now().Add(during)
	for range callers {
		sending.Go(func() {
			for time.Now().Before(end) {
				got := s.send(t.Context(), review(t, int(next.Add(1)), padding), time.Now())
				mu.Lock()
				samples = append(samples, got)
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	return samples
}

// send sends one review and measures its latency from when the review was due.
func (s server) send(ctx context.Context, body []byte, due time.Time) (got sample) {
	response, err := s.post(ctx, body)
	got.latency = time.Since(due)
	if err != nil {
		got.err = err
		return got
	}
	got.allowed, got.rewritten = response.Allowed, len(response.Patch) > 0
	return got
}

// post sends a review and returns its response.
func (s server) post(ctx context.Context, body []byte) (*admissionv1.AdmissionResponse, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body) // reading to the end lets the client reuse the connection
	if err != nil {
		return nil, fmt.Errorf("reading the answer with status %s: %w", answer.Status, err)
	}
	var reviewed admissionv1.AdmissionReview
	if err := json.Unmarshal(content, &reviewed); err != nil {
		return nil, fmt.Errorf("reading the answer with status %s: %w", answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK || reviewed.Response == nil || reviewed.Response.UID == "" {
		return nil, fmt.Errorf("unexpected answer with status %s: %+v", answer.Status, reviewed.Response)
	}
	return reviewed.Response, nil
}

// review returns an AdmissionReview for the pod with the given number. The pod has about padding bytes in addition to its image.
// Every pod has a different image, so that no lookup is cached.
func review(t *testing.T, number, padding int) []byte {
	t.Helper()
	name := fmt.Sprintf("pod-%d", number)
	pod, err := json.Marshal(corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "app", Image: fmt.Sprintf("load/app-%d:local", number), Env: environment(padding)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:  types.UID(name),
			Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Name: name, Namespace: "default", Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: pod},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// environment returns environment variables that take about padding bytes as JSON. Many small values use more memory than one
// large value.
func environment(padding int) (variables []corev1.EnvVar) {
	const each = 100
	for i := range padding / each {
		variables = append(variables, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%04d", i), Value: strings.Repeat("v", each-36)})
	}
	return variables
}
