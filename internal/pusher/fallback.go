package pusher

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
)

// fallbacks logs and counts the sources that did not give every blob, so that the next source was used.
type fallbacks struct {
	log     *slog.Logger
	metrics *metrics
	logged  sync.Map
}

// note counts each fallback, and logs it once per source and kind of cause: a directory that cannot be read is the same
// one for every image.
func (f *fallbacks) note(source string, cause error) {
	f.metrics.handovers.WithLabelValues(source).Inc()
	if _, known := f.logged.LoadOrStore(source+kind(cause), true); !known {
		f.log.Info("falling back to the next layer source", "source", source, "error", cause.Error())
	}
}

// kind returns what the errors of one cause have in common.
func kind(cause error) string {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(cause, known) {
			return known.Error()
		}
	}
	return "other"
}
