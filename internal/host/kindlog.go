package host

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/log"
)

// quietLogger drops what kind says; kind's errors are returned all the same.
type quietLogger = log.NoopLogger

// progressLogger passes kind's status lines on as progress.
type progressLogger struct{ progress Progress }

func (l progressLogger) say(message string) {
	message = strings.TrimSpace(message)
	if status, started := strings.CutPrefix(message, "•"); started { // kind says each status twice: when it starts, and when it ends
		l.progress(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(status), "...")))
	}
}

func (l progressLogger) Warn(message string)          { l.progress("warning: " + message) }
func (l progressLogger) Warnf(f string, args ...any)  { l.Warn(fmt.Sprintf(f, args...)) }
func (l progressLogger) Error(message string)         { l.progress("error: " + message) }
func (l progressLogger) Errorf(f string, args ...any) { l.Error(fmt.Sprintf(f, args...)) }
func (l progressLogger) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return progressInfo{l}
}

type progressInfo struct{ progressLogger }

func (i progressInfo) Info(message string)         { i.say(message) }
func (i progressInfo) Infof(f string, args ...any) { i.say(fmt.Sprintf(f, args...)) }
func (i progressInfo) Enabled() bool               { return true }
