package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// Metrics collects the metrics about admission. It is a prometheus.Collector.
type Metrics struct {
	decisions *prometheus.CounterVec
	admission prometheus.Histogram
	lookups   *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
}

// NewMetrics returns metrics at zero, with a counter for every reason.
func NewMetrics() *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "decisions_total",
			Help: "Decisions about pods' images, by reason (docs/reasons.md).",
		}, []string{"reason"}),
		admission: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: config.MetricsNamespace, Name: "admission_duration_seconds",
			Help:    "Time to answer an admission request.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		lookups: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: config.MetricsNamespace, Name: "lookup_duration_seconds",
			Help:    "Time to look up an image on the host and in the registry, by whether the lookup was answered.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 10),
		}, []string{"answered"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: config.MetricsNamespace, Name: "admissions_in_flight",
			Help: "Admission requests in flight.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace, Name: "panics_total",
			Help: "Admission requests that ended in a panic, which leaves the pod unchanged.",
		}),
	}
	for _, reason := range rewrite.Reasons() {
		m.decisions.WithLabelValues(string(reason))
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(to)
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.decisions, m.admission, m.lookups, m.inFlight, m.panics}
}

// begin counts a request as in flight until the returned function is called, and then records how long the request took.
func (m *Metrics) begin() (end func()) {
	start := time.Now()
	m.inFlight.Inc()
	return func() {
		m.inFlight.Dec()
		m.admission.Observe(time.Since(start).Seconds())
	}
}

// decided counts the outcomes.
func (m *Metrics) decided(outcomes []Outcome) {
	for _, o := range outcomes {
		m.decisions.WithLabelValues(string(o.Decision.Reason)).Inc()
	}
}

// LookedUp records how long a lookup took and whether it was answered.
func (m *Metrics) LookedUp(took time.Duration, err error) {
	answered := "yes"
	if err != nil {
		answered = "no"
	}
	m.lookups.WithLabelValues(answered).Observe(took.Seconds())
}
