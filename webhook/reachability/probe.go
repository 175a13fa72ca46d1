package reachability

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// askInterval is the time between two questions.
	askInterval = 200 * time.Millisecond
	// reportInterval is the least time between two lines of progress.
	reportInterval = 2 * time.Second
)

// Options are what is waited for.
type Options struct {
	// Cluster is how the API server is reached, and as whom.
	Cluster *rest.Config
	// Namespace is that of the webhook.
	Namespace string
	// Need is how many calls in a row must arrive; 1 at least.
	Need int
	// Report takes a line of progress every few seconds.
	Report func(line string)
}

// Await returns the name of the webhook's pod that answered last, once as many calls in a row arrived as are needed. When
// ctx ends before, the error says why the last call that did not arrive did not.
func Await(ctx context.Context, options Options) (answeredBy string, err error) {
	question, err := newQuestion(options.Cluster, options.Namespace)
	if err != nil {
		return "", err
	}
	return inARow(ctx, options.Need, question.ask, options.Report)
}

// inARow asks until need answers came in a row, and returns the last of them.
func inARow(ctx context.Context, need int, ask func(context.Context) (string, error), report func(string)) (string, error) {
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	calls := series{need: need, start: time.Now()}
	for reported := calls.start; ; {
		answer, err := ask(ctx)
		if err == nil || ctx.Err() == nil { // a question that was cut short says nothing
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

// series is what became of the calls so far.
type series struct {
	need    int       // calls in a row that must arrive
	arrived int       // calls in a row that arrived last
	fault   error     // why one did not, the last time
	start   time.Time // of the first
}

// add counts a call that arrived, or did not.
func (s *series) add(fault error) {
	if fault != nil {
		s.arrived, s.fault = 0, fault
		return
	}
	s.arrived++
}

// progress returns a line that says how things stand.
func (s *series) progress() string {
	line := fmt.Sprintf("after %s, %d of %d calls in a row arrived", time.Since(s.start).Round(time.Second), s.arrived, s.need)
	if s.arrived == 0 && s.fault != nil {
		line += ": " + s.fault.Error()
	}
	return line
}

// failure returns the error of a series that is over: with the last fault, or else why it is over.
func (s *series) failure(over error) error {
	if s.fault != nil {
		over = s.fault
	}
	return fmt.Errorf("%d of %d calls in a row arrived within %s: %w", s.arrived, s.need, time.Since(s.start).Round(time.Second), over)
}
