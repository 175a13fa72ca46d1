package host

import (
	"fmt"
	"strings"
)

// because returns the error of an installation with its reason: the last line in the log of a hook of the chart that
// failed, of which Helm itself says no more than that it did. The log is empty where no hook did.
func because(err error, hookLog string) error {
	log := strings.TrimSpace(hookLog)
	if log == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, log[strings.LastIndex(log, "\n")+1:])
}
