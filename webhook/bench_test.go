package webhook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/webhooktest"
)

// benchmarkPods returns the pods for the benchmarks. The large pod contains 60 kB in many small fields.
func benchmarkPods() map[string]string {
	var env []string
	for i := range 800 {
		env = append(env, fmt.Sprintf(`{"name":"VARIABLE_%04d","value":"the value of the variable with number %04d"}`, i, i))
	}
	large := `{"metadata":{"name":"pod"},"spec":{"containers":[{"name":"a","image":"registry/x","env":[` + strings.Join(env, ",") + `]}]}}`
	return map[string]string{
		"plain": `{"metadata":{"name":"pod"},"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`,
		"60kB":  large,
	}
}

// BenchmarkDecide measures deciding about a pod and building its patch.
func BenchmarkDecide(b *testing.B) {
	for name, document := range benchmarkPods() {
		var pod corev1.Pod
		if err := json.Unmarshal([]byte(document), &pod); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			decider := webhooktest.NewHandler(b, logr.Discard()).Decider
			b.ReportAllocs()
			for b.Loop() {
				subject := webhook.Subject{Pod: podimage.Read(&pod, webhooktest.RegistryHost), Fields: podimage.Fields(&pod), Namespace: "default"}
				if _, err := webhook.Patch(subject, decider.Decide(b.Context(), subject)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHandle measures answering a whole request, from decoding the JSON to updating the journal and metrics.
func BenchmarkHandle(b *testing.B) {
	for name, pod := range benchmarkPods() {
		b.Run(name, func(b *testing.B) {
			h, request := webhooktest.NewHandler(b, logr.Discard()), creation(pod)
			b.ReportAllocs()
			for b.Loop() {
				h.Handle(b.Context(), request)
			}
		})
	}
}
