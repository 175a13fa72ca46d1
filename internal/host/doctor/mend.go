package doctor

import (
	"context"

	"kind-local-registry/internal/host/step"
)

// Repair is an attempt to mend a broken link.
type Repair struct {
	// Check is the check's name.
	Check string `json:"check"`
	// Found describes what was broken.
	Found string `json:"found"`
	// Error tells why the link could not be mended. It is omitted if the link was mended.
	Error string `json:"error,omitempty"`
}

// Report is the document of setup doctor.
type Report struct {
	// OK reports whether no link is broken. After repairs, it is the state at the end.
	OK bool `json:"ok"`
	// Cluster is the kind cluster's name. It is omitted if Docker does not answer.
	Cluster string `json:"cluster,omitempty"`
	// Findings lists the checks in order. After repairs, they are those of the last examination.
	Findings []Finding `json:"findings"`
	// Repairs lists what --fix mended, or tried to.
	Repairs []Repair `json:"repairs"`
}

// Broken returns the broken links.
func (r Report) Broken() []Finding {
	var broken []Finding
	for _, finding := range r.Findings {
		if finding.Outcome == Broken {
			broken = append(broken, finding)
		}
	}
	return broken
}

// Diagnose examines the chain.
func Diagnose(ctx context.Context, checks []Check, begun Begun) (Report, error) {
	report := Report{Repairs: []Repair{}}
	var err error
	report.Findings, err = Examine(ctx, checks, begun)
	report.OK = len(report.Broken()) == 0
	return report, err
}

// Mend examines the chain, mends what is broken and can be mended safely, and examines the chain again. It continues as long as it
// finds something else to mend, because a mended link may show the next broken one. It tries to mend each link only once.
func Mend(ctx context.Context, checks []Check, observer step.Observer) (Report, error) {
	repairs, tried := []Repair{}, map[string]bool{}
	for {
		report, err := Diagnose(ctx, checks, observer.Begin)
		report.Repairs = repairs
		if err != nil {
			return report, err
		}
		var again bool
		for _, finding := range report.Broken() {
			if !finding.Fixable || tried[finding.Check] {
				continue
			}
			tried[finding.Check] = true
			repairs = append(repairs, repair(ctx, checks, finding, observer))
			again = true
		}
		if !again {
			return report, nil
		}
	}
}

// repair tries to mend the broken link.
func repair(ctx context.Context, checks []Check, finding Finding, observer step.Observer) Repair {
	done := Repair{Check: finding.Check, Found: finding.Found}
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
