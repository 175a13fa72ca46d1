package registry

import (
	"io"

	"github.com/sirupsen/logrus"
)

// LogTo sends distribution's log, warnings and errors only, as JSON lines to w. It has one log for the whole process, so
// this is for main. That something is not there is no error of a registry, although distribution logs it as one.
func LogTo(w io.Writer) {
	logrus.SetOutput(w)
	logrus.SetLevel(logrus.WarnLevel)
	logrus.SetFormatter(quiet{&logrus.JSONFormatter{}})
}

// quiet drops what distribution logs about each request for something that the registry does not have.
type quiet struct{ logrus.Formatter }

// Format returns the line, or nothing for an entry that is to be dropped.
func (q quiet) Format(entry *logrus.Entry) ([]byte, error) {
	if status, ok := entry.Data["http.response.status"].(int); ok && status < 500 {
		return nil, nil
	}
	return q.Formatter.Format(entry)
}
