package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kind-local-registry/internal/rewrite"
)

// namespace begins the name of every metric of ours.
const namespace = "kind_local_registry"

// Metrics are what admission counts. It is a prometheus.Collector.
type Metrics struct {
	decisions *prometheus.CounterVec
	admission prometheus.Histogram
	lookups   *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
}

// NewMetrics returns metrics that stand at nothing, with every reason among them.
func NewMetrics() *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "decisions_total",
			Help: "Decisions about an image of a pod, by reason (docs/reasons.md).",
		}, []string{"reason"}),
		admission: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "admission_duration_seconds",
			Help:    "How long the answer to an admission request took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		lookups: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "lookup_duration_seconds",
			Help:    "How long it took to ask what the host and the registry hold of an image, by whether that was answered.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 10),
		}, []string{"answered"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "admissions_in_flight",
			Help: "Admission requests that are being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "panics_total",
			Help: "Admission requests that ended in a panic of ours, and so in a pod as it was written.",
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

// begin counts a request that is being answered, until the function that it returns is called.
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

// LookedUp counts a lookup, and whether it was answered.
func (m *Metrics) LookedUp(took time.Duration, err error) {
	answered := "yes"
	if err != nil {
		answered = "no"
	}
	m.lookups.WithLabelValues(answered).Observe(took.Seconds())
}
