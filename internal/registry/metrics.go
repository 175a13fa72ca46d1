package registry

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// countUploads counts the blobs that next takes, and returns the page where that and others are read (GET /metrics). Only the
// request that ends an upload is looked at, so that no blob on its way out is slowed down.
func countUploads(next http.Handler, others ...prometheus.Collector) (counted, metrics http.Handler) {
	uploads := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kind_local_registry_blob_uploads_total",
		Help: "Blobs that were uploaded to the registry since it was started.",
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

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status, and writes it. distribution writes a second one for an upload that breaks off.
func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
