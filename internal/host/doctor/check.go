package doctor

import (
	"context"
	"time"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// Check examines one link of the chain.
type Check struct {
	// Name names the link, such as "hosts.toml".
	Name string
	// After lists the names of the earlier checks without which this check would only repeat their findings.
	After []string
	// Why tells what the link is for, and so what fails without it.
	Why string
	// Probe returns the link's state. An error means that the link could not be examined, which is a finding too.
	Probe func(context.Context) (step.State, error)
	// Fix mends the link. It must be safe to run unasked: it changes only what setup created. nil means that only the user can mend
	// the link.
	Fix func(context.Context, step.Progress) error
	// Ours reports whether setup created what Fix would change. nil means that it always did.
	Ours func(context.Context) (bool, error)
}

// Begun is called with the name of each check before it runs.
type Begun func(check string)

// Examine runs the checks in order and returns their findings in the same order. When ctx ends, it returns ctx's error, because a
// check that is interrupted proves nothing.
func Examine(ctx context.Context, checks []Check, begun Begun) ([]report.Finding, error) {
	causes := map[string]string{} // name of a check that is broken or was not checked -> name of the broken check
	findings := make([]report.Finding, 0, len(checks))
	for _, check := range checks {
		if cause := causeOf(check, causes); cause != "" {
			causes[check.Name] = cause
			findings = append(findings, report.Finding{Check: check.Name, Outcome: report.NotChecked, Because: cause})
			continue
		}
		begun(check.Name)
		finding := check.examine(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if finding.Outcome == report.Broken {
			causes[check.Name] = check.Name
		}
		findings = append(findings, finding)
	}
	return findings, nil
}

// causeOf returns the name of the broken check because of which the check would prove nothing, or "".
func causeOf(check Check, causes map[string]string) string {
	for _, name := range check.After {
		if cause := causes[name]; cause != "" {
			return cause
		}
	}
	return ""
}

// examine runs the check.
func (c Check) examine(ctx context.Context) report.Finding {
	start := time.Now()
	state, err := c.Probe(ctx)
	if err != nil {
		state.Detail, state.Remedy = step.SplitRemedy(err)
	}
	finding := report.Finding{Check: c.Name, Outcome: report.Healthy, Found: state.Detail, Duration: report.Duration(time.Since(start))}
	if !state.OK {
		finding.Outcome, finding.Why, finding.Remedy, finding.Fixable = report.Broken, c.Why, state.Advice(), c.fixable(ctx)
	}
	return finding
}

// fixable reports whether Fix may mend the link. If nobody can tell who created what is broken, it may not.
func (c Check) fixable(ctx context.Context) bool {
	if c.Fix == nil || c.Ours == nil {
		return c.Fix != nil
	}
	ours, err := c.Ours(ctx)
	return err == nil && ours
}
