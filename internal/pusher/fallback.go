package pusher

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
)

// fallbacks logs and counts fallbacks: a source did not provide every blob, so the next source was used.
type fallbacks struct {
	log     *slog.Logger
	metrics *metrics
	logged  sync.Map
}

// note counts every fallback. It logs a fallback only once for each source and kind of cause, because a directory that cannot
// be read causes a fallback for every image.
func (f *fallbacks) note(source string, cause error) {
	f.metrics.handovers.WithLabelValues(source).Inc()
	if _, known := f.logged.LoadOrStore(source+kind(cause), true); !known {
		f.log.Info("falling back to the next layer source", "source", source, "error", cause.Error())
	}
}

// kind returns a text that is the same for all errors with the same cause.
func kind(cause error) string {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(cause, known) {
			return known.Error()
		}
	}
	return "other"
}
