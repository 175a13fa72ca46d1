package registry

import (
	"io"

	"github.com/sirupsen/logrus"
)

// LogTo writes distribution's warnings and errors to w as JSON lines. It omits entries about requests for missing content,
// which distribution logs as errors. distribution has only one log per process, so only main may call LogTo.
func LogTo(w io.Writer) {
	logrus.SetOutput(w)
	logrus.SetLevel(logrus.WarnLevel)
	logrus.SetFormatter(quiet{&logrus.JSONFormatter{}})
}

// quiet drops distribution's log entries about requests for missing content.
type quiet struct{ logrus.Formatter }

// Format returns the line to log, or nil if the entry is dropped.
func (q quiet) Format(entry *logrus.Entry) ([]byte, error) {
	if status, ok := entry.Data["http.response.status"].(int); ok && status < 500 {
		return nil, nil
	}
	return q.Formatter.Format(entry)
}
