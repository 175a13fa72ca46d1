package pusher

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kind-local-registry/config"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// The outcomes of a push, besides the reasons of a *rewrite.Refusal.
const (
	outcomePushed    = "Pushed"
	outcomeCancelled = "Cancelled" // its last caller has left
	outcomeFailed    = "Failed"    // an error that may pass
)

// metrics are the metrics of a Service, which its Server serves.
type metrics struct {
	pushes    *prometheus.CounterVec // by outcome
	bytes     prometheus.Counter
	duration  prometheus.Histogram
	handovers *prometheus.CounterVec // by source
	page      http.Handler
}

// newMetrics returns metrics that are all zero.
func newMetrics() *metrics {
	m := &metrics{
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "pushes_total",
			Help: "Pushes that began, by outcome: Pushed, Cancelled, Failed or the reason of a refusal (docs/reasons.md).",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "push_bytes_total",
			Help: "Bytes of the blobs that successful pushes uploaded.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: config.MetricsNamespace, Name: "push_duration_seconds",
			Help:    "Duration of successful pushes, without the wait for other pushes.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2.5, 11),
		}),
		handovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "source_handovers_total",
			Help: "Pushes in which a source of layers did not give every blob, and the next source was used.",
		}, []string{"source"}),
	}
	for _, outcome := range []string{outcomePushed, outcomeCancelled, outcomeFailed} {
		m.pushes.WithLabelValues(outcome)
	}
	own := prometheus.NewRegistry()
	own.MustRegister(m.pushes, m.bytes, m.duration, m.handovers)
	m.page = promhttp.HandlerFor(own, promhttp.HandlerOpts{})
	return m
}

// pushed counts a push that has ended.
func (m *metrics) pushed(result push.Result, took time.Duration, err error) {
	m.pushes.WithLabelValues(outcome(err)).Inc()
	if err == nil {
		m.bytes.Add(float64(result.Bytes))
		m.duration.Observe(took.Seconds())
	}
}

// outcome returns the outcome of a push that ended with that error, or nil.
func outcome(err error) string {
	switch {
	case err == nil:
		return outcomePushed
	case errors.Is(err, context.Canceled):
		return outcomeCancelled
	}
	return cmp.Or(string(rewrite.ReasonOf(err)), outcomeFailed)
}
