package reachability

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// probeInterval is the time between two probes.
	probeInterval = 200 * time.Millisecond
	// reportInterval is the minimum time between two progress reports.
	reportInterval = 2 * time.Second
)

// Options contains the options for Await.
type Options struct {
	// Cluster configures access to the API server.
	Cluster *rest.Config
	// Namespace is the webhook's namespace.
	Namespace string
	// Need is how many consecutive calls must reach the webhook. It must be at least 1.
	Need int
	// Report is called with a progress report every few seconds.
	Report func(line string)
}

// Await waits until Need consecutive calls have reached the webhook. It returns the name of the webhook pod that answered the
// last call. If ctx ends first, the error states why the last failed call did not reach the webhook.
func Await(ctx context.Context, options Options) (answeredBy string, err error) {
	probe, err := newProbe(options.Cluster, options.Namespace)
	if err != nil {
		return "", err
	}
	return consecutive(ctx, options.Need, probe.send, options.Report)
}

// consecutive sends probes until need consecutive calls have reached the webhook, and returns the last answer.
func consecutive(ctx context.Context, need int, send func(context.Context) (string, error), report func(string)) (string, error) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	calls := series{need: need, start: time.Now()}
	for reported := calls.start; ; {
		answer, err := send(ctx)
		if err == nil || ctx.Err() == nil { // a probe that was cancelled because ctx ended proves nothing
			calls.add(err)
		}
		if calls.arrived >= need {
			return answer, nil
		}
		if time.Since(reported) >= reportInterval {
			reported = time.Now()
			report(calls.progress())
		}
		select {
		case <-ctx.Done():
			return "", calls.failure(ctx.Err())
		case <-tick.C:
		}
	}
}

// series records the calls so far.
type series struct {
	need    int       // consecutive calls that must succeed
	arrived int       // how many of the latest calls succeeded in a row
	fault   error     // the error from the last call that failed
	start   time.Time // when the first call began
}

// add records a call.
func (s *series) add(fault error) {
	if fault != nil {
		s.arrived, s.fault = 0, fault
		return
	}
	s.arrived++
}

// progress returns a line that describes the progress.
func (s *series) progress() string {
	line := fmt.Sprintf("after %s, %d of %d consecutive calls reached the webhook", time.Since(s.start).Round(time.Second), s.arrived, s.need)
	if s.arrived == 0 && s.fault != nil {
		line += ": " + s.fault.Error()
	}
	return line
}

// failure returns the error for a series that did not succeed. The error's cause is the last fault, or the error over if no call
// failed.
func (s *series) failure(over error) error {
	if s.fault != nil {
		over = s.fault
	}
	return fmt.Errorf("%d of %d consecutive calls reached the webhook within %s: %w", s.arrived, s.need, time.Since(s.start).Round(time.Second), over)
}
