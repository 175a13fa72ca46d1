package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/report"
)

func TestDoctor_PrintsFindingsAndRepairs(t *testing.T) {
	t.Parallel()
	found := &report.Doctor{
		Findings: []report.Finding{
			{Check: "Docker", Outcome: report.Healthy, Found: "Docker 29.1.0, overlay2"},
			{
				Check: "registry", Outcome: report.Broken, Found: "container kind-registry is exited", Why: "nodes pull from it",
				Remedy: "run setup up",
			},
			{Check: "node pull", Outcome: report.NotChecked, Because: "registry"},
		},
		Repairs: []report.Repair{
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
	if err := printReport(&out, found); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printReport (-want +got):\n%s", diff)
	}
}

func TestFindingsError_OffersFixOnlyIfItHelps(t *testing.T) {
	t.Parallel()
	broken := func(fixable bool) *report.Doctor {
		return &report.Doctor{Findings: []report.Finding{{Check: "linker", Outcome: report.Broken, Fixable: fixable}}}
	}
	for want, found := range map[string]*report.Doctor{
		"1 link broken; see docs/troubleshooting.md; setup doctor --fix mends what can be mended safely": broken(true),
		"1 link broken; see docs/troubleshooting.md":                                                     broken(false),
	} {
		if err := findingsError(found); err == nil || err.Error() != want {
			t.Errorf("findingsError = %v, want %q", err, want)
		}
	}
	if err := findingsError(&report.Doctor{Findings: []report.Finding{{Outcome: report.Healthy}}}); err != nil {
		t.Errorf("findingsError = %v, want nil without a broken link", err)
	}
}
