package doctor

import (
	"context"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// Diagnose examines the chain.
func Diagnose(ctx context.Context, checks []Check, begun Begun) (report.Doctor, error) {
	found := report.Doctor{Repairs: []report.Repair{}}
	var err error
	found.Findings, err = Examine(ctx, checks, begun)
	found.OK = len(found.Broken()) == 0
	return found, err
}

// Mend examines the chain, mends what is broken and can be mended safely, and examines the chain again. It continues as long as it
// finds something else to mend, because a mended link may show the next broken one. It tries to mend each link only once.
func Mend(ctx context.Context, checks []Check, observer step.Observer) (report.Doctor, error) {
	repairs, tried := []report.Repair{}, map[string]bool{}
	for {
		found, err := Diagnose(ctx, checks, observer.Begin)
		found.Repairs = repairs
		if err != nil {
			return found, err
		}
		var again bool
		for _, finding := range found.Broken() {
			if !finding.Fixable || tried[finding.Check] {
				continue
			}
			tried[finding.Check] = true
			repairs = append(repairs, repair(ctx, checks, finding, observer))
			again = true
		}
		if !again {
			return found, nil
		}
	}
}

// repair tries to mend the broken link.
func repair(ctx context.Context, checks []Check, finding report.Finding, observer step.Observer) report.Repair {
	done := report.Repair{Check: finding.Check, Found: finding.Found}
	for _, check := range checks {
		if check.Name != finding.Check {
			continue
		}
		observer.Begin("mending " + check.Name)
		if err := check.Fix(ctx, observer.Progress); err != nil {
			done.Error = err.Error()
		}
	}
	return done
}
