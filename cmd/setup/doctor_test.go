package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/doctor"
)

func TestDoctor_PrintsFindingsAndRepairs(t *testing.T) {
	t.Parallel()
	report := doctor.Report{
		Findings: []doctor.Finding{
			{Check: "Docker", Outcome: doctor.Healthy, Found: "Docker 29.1.0, overlay2"},
			{
				Check: "registry", Outcome: doctor.Broken, Found: "container kind-registry is exited", Why: "nodes pull from it",
				Remedy: "run setup up",
			},
			{Check: "node pull", Outcome: doctor.NotChecked, Because: "registry"},
		},
		Repairs: []doctor.Repair{
			{Check: "linker", Found: "container kind-registry-linker is exited"}, {Check: "registry", Found: "x", Error: "no space"},
		},
	}
	const want = `✓ mended: linker: container kind-registry-linker is exited
✗ not mended: registry: no space
✓ Docker                 Docker 29.1.0, overlay2
✗ registry               container kind-registry is exited
                            nodes pull from it
                         -> run setup up
- node pull              not checked, because of: registry
`
	var out bytes.Buffer
	if err := printReport(&out, report); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printReport (-want +got):\n%s", diff)
	}
}

func TestFindingsError_OffersFixOnlyIfItHelps(t *testing.T) {
	t.Parallel()
	broken := func(fixable bool) doctor.Report {
		return doctor.Report{Findings: []doctor.Finding{{Check: "linker", Outcome: doctor.Broken, Fixable: fixable}}}
	}
	for want, report := range map[string]doctor.Report{
		"1 link broken; see docs/troubleshooting.md; setup doctor --fix mends what can be mended safely": broken(true),
		"1 link broken; see docs/troubleshooting.md":                                                     broken(false),
	} {
		if err := findingsError(report); err == nil || err.Error() != want {
			t.Errorf("findingsError = %v, want %q", err, want)
		}
	}
	if err := findingsError(doctor.Report{Findings: []doctor.Finding{{Outcome: doctor.Healthy}}}); err != nil {
		t.Errorf("findingsError = %v, want nil without a broken link", err)
	}
}
