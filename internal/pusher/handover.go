package pusher

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kind-local-registry/config"
)

// handOvers tells of the sources that could not give what was asked of them, so that the next one had to.
type handOvers struct {
	log     *slog.Logger
	counter *prometheus.CounterVec
	metrics http.Handler
	said    sync.Map
}

func newHandOvers(log *slog.Logger) *handOvers {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: config.MetricsNamespace, Name: "source_handovers_total",
		Help: "Pushes in which a source of layers could not give all that was asked of it, and the next source was asked.",
	}, []string{"source"})
	own := prometheus.NewRegistry()
	own.MustRegister(counter)
	return &handOvers{log: log, counter: counter, metrics: promhttp.HandlerFor(own, promhttp.HandlerOpts{})}
}

// note counts each hand-over, and logs it once for each kind of cause: a directory that cannot be read is the same one
// for every image.
func (h *handOvers) note(source string, cause error) {
	h.counter.WithLabelValues(source).Inc()
	if _, known := h.said.LoadOrStore(source+kind(cause), true); !known {
		h.log.Info("layer source handed over to the next", "source", source, "error", cause.Error())
	}
}

// kind returns what is the same in the errors of one cause.
func kind(cause error) string {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(cause, known) {
			return known.Error()
		}
	}
	return "other"
}
