package registry

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kind-local-registry/config"
)

// countUploads returns next with a counter of uploaded blobs, and the handler of GET /metrics with that counter and others.
// It wraps only the request that ends an upload, so downloads keep their speed.
func countUploads(next http.Handler, others ...prometheus.Collector) (counted, metrics http.Handler) {
	uploads := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: config.MetricsNamespace,
		Name:      "blob_uploads_total",
		Help:      "Blobs uploaded since the registry started.",
	})
	own := prometheus.NewRegistry()
	own.MustRegister(append(others, uploads)...)
	counted = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/blobs/uploads/") {
			next.ServeHTTP(w, r)
			return
		}
		answer := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		if answer.status == http.StatusCreated {
			uploads.Inc()
		}
	})
	return counted, promhttp.HandlerFor(own, promhttp.HandlerOpts{})
}

// statusWriter records the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader records and writes the status. It ignores a second one, which distribution writes for an interrupted upload.
func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
