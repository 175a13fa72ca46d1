package link

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kind-local-registry/config"
	"kind-local-registry/internal/link/linkapi"
)

// The outcomes of a request to link the layers of an image.
const (
	outcomeLinked  = "Linked"
	outcomePresent = "Present" // the node already had all layers
	outcomeLate    = "Late"    // the client gave up
	outcomeFailed  = "Failed"
)

// metrics are the metrics of a Server.
type metrics struct {
	requests *prometheus.CounterVec // by outcome
	layers   prometheus.Counter
	duration prometheus.Histogram
	page     http.Handler
}

// newMetrics returns metrics that are all zero.
func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "link_requests_total",
			Help: "Requests to link the layers of an image to a node, by outcome: Linked, Present, Late or Failed.",
		}, []string{"outcome"}),
		layers: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "linked_layers_total", Help: "Layers that were linked to a node.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: config.MetricsNamespace, Name: "link_duration_seconds",
			Help:    "Duration of requests with the outcome Linked.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 10),
		}),
	}
	for _, outcome := range []string{outcomeLinked, outcomePresent, outcomeLate, outcomeFailed} {
		m.requests.WithLabelValues(outcome)
	}
	own := prometheus.NewRegistry()
	own.MustRegister(m.requests, m.layers, m.duration)
	m.page = promhttp.HandlerFor(own, promhttp.HandlerOpts{})
	return m
}

// linked counts a request that has ended.
func (m *metrics) linked(result linkapi.Result, took time.Duration, err error) {
	m.layers.Add(float64(result.Linked))
	outcome := outcomeLinked
	switch {
	case errors.Is(err, context.Canceled):
		outcome = outcomeLate
	case err != nil:
		outcome = outcomeFailed
	case result.Linked == 0:
		outcome = outcomePresent
	default:
		m.duration.Observe(took.Seconds())
	}
	m.requests.WithLabelValues(outcome).Inc()
}
