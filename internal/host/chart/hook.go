package chart

import (
	"fmt"
	"strings"
)

// withHookLog adds the last line of the failed hook's log to Helm's error, which says only that the hook failed. The log is empty
// if no hook failed.
func withHookLog(err error, hookLog string) error {
	log := strings.TrimSpace(hookLog)
	if log == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, log[strings.LastIndex(log, "\n")+1:])
}
