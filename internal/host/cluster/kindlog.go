package cluster

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/log"

	"kind-local-registry/internal/host/step"
)

// quietLogger discards kind's log messages. No error is lost, because kind also returns its errors.
type quietLogger = log.NoopLogger

// progressLogger reports kind's status lines and warnings as progress.
type progressLogger struct{ progress step.Progress }

// status reports the start of a step that kind logs. kind logs each step twice, when it starts and when it ends. Only the first
// message has a bullet.
func (l progressLogger) status(message string) {
	message = strings.TrimSpace(message)
	if status, started := strings.CutPrefix(message, "•"); started {
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

func (i progressInfo) Info(message string)         { i.status(message) }
func (i progressInfo) Infof(f string, args ...any) { i.status(fmt.Sprintf(f, args...)) }
func (i progressInfo) Enabled() bool               { return true }
