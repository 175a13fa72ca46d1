package restart

import (
	"github.com/prometheus/client_golang/prometheus"

	"kind-local-registry/config"
)

// The reasons and the action of our Events.
const (
	restartedReason = "RestartedOnRebuild"
	skippedReason   = "RestartSkipped"
	restartAction   = "Restart"
)

// The results that Metrics counts.
const (
	restarted = "restarted"
	skipped   = "skipped"
	failed    = "failed"
)

// Metrics counts restarts by kind and result. It is a prometheus.Collector.
type Metrics struct{ *prometheus.CounterVec }

// NewMetrics returns metrics at zero.
func NewMetrics() *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: config.MetricsNamespace, Name: "restarts_total",
		Help: "Workloads for which the host had a newer build, by kind, and by whether they were restarted, skipped, or could not be patched.",
	}, []string{"kind", "result"})}
	for _, kind := range kinds() {
		for _, result := range []string{restarted, skipped, failed} {
			m.WithLabelValues(string(kind), result)
		}
	}
	return m
}

// count counts a result.
func (m *Metrics) count(kind Kind, result string) { m.WithLabelValues(string(kind), result).Inc() }
