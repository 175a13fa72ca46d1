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

// These are the outcomes of a push. The reasons of a *rewrite.Refusal are outcomes too.
const (
	outcomePushed    = "Pushed"
	outcomeCancelled = "Cancelled" // the push's last caller has left
	outcomePromised  = "Promised"
	outcomeFailed    = "Failed" // a later push may succeed
)

// metrics contains a Service's metrics. The Server serves them.
type metrics struct {
	pushes    *prometheus.CounterVec // by outcome
	bytes     prometheus.Counter
	duration  prometheus.Histogram
	handovers *prometheus.CounterVec // by source
	promises  *prometheus.CounterVec // by outcome
	withdrawn prometheus.Counter
	page      http.Handler
}

// newMetrics returns metrics that are all zero.
func newMetrics() *metrics {
	m := &metrics{
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "pushes_total",
			Help: "Pushes that began, by outcome: Pushed, Cancelled, Failed or the reason for a refusal (docs/reasons.md).",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "push_bytes_total",
			Help: "Bytes uploaded by successful pushes.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: config.MetricsNamespace, Name: "push_duration_seconds",
			Help:    "Duration of successful pushes, without the time spent waiting for other pushes.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2.5, 11),
		}),
		handovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "source_handovers_total",
			Help: "Pushes in which a source did not provide every blob, so the next source was used.",
		}, []string{"source"}),
	}
	m.promises = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: config.MetricsNamespace, Name: "promises_total",
		Help: "Attempts to promise an image, by outcome: Promised or Failed. If an attempt fails, the image is pushed before its pod starts.",
	}, []string{"outcome"})
	m.withdrawn = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: config.MetricsNamespace, Name: "promises_withdrawn_total",
		Help: "Promises that were withdrawn because the image could not be pushed.",
	})
	for _, outcome := range []string{outcomePromised, outcomeFailed} {
		m.promises.WithLabelValues(outcome)
	}
	for _, outcome := range []string{outcomePushed, outcomeCancelled, outcomeFailed} {
		m.pushes.WithLabelValues(outcome)
	}
	own := prometheus.NewRegistry()
	own.MustRegister(m.pushes, m.bytes, m.duration, m.handovers, m.promises, m.withdrawn)
	m.page = promhttp.HandlerFor(own, promhttp.HandlerOpts{})
	return m
}

// pushed records a push that has ended.
func (m *metrics) pushed(result push.Result, took time.Duration, err error) {
	m.pushes.WithLabelValues(outcome(err)).Inc()
	if err == nil {
		m.bytes.Add(float64(result.Bytes))
		m.duration.Observe(took.Seconds())
	}
}

// promised records an attempt to promise an image.
func (m *metrics) promised(err error) {
	outcome := outcomePromised
	if err != nil {
		outcome = outcomeFailed
	}
	m.promises.WithLabelValues(outcome).Inc()
}

// outcome returns the outcome of a push that ended with err. A nil err means success.
func outcome(err error) string {
	switch {
	case err == nil:
		return outcomePushed
	case errors.Is(err, context.Canceled):
		return outcomeCancelled
	}
	return cmp.Or(string(rewrite.ReasonOf(err)), outcomeFailed)
}
