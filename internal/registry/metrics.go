package registry

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kind-local-registry/config"
)

// countUploads wraps next in a handler that counts uploaded blobs. It also returns the handler for GET /metrics, which serves
// this counter and the other collectors. Only requests that end an upload are wrapped, so downloads are not slowed down.
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

// statusWriter records a response's status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader records and writes the status. It ignores a second status, which distribution writes if an upload is interrupted.
func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
