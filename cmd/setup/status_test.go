package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/step"
)

func TestStatus_PrintsChecksAndRemedies(t *testing.T) {
	t.Parallel()
	all := []step.Status{
		{Step: "cluster", State: step.State{OK: true, Detail: "kind, 1 node, adopted"}},
		{Step: "pusher", State: step.State{Detail: "no container kind-registry-pusher", Remedy: "run setup up"}},
	}
	want := `✓ cluster        kind, 1 node, adopted
✗ pusher         no container kind-registry-pusher
                 -> run setup up
`
	var out bytes.Buffer
	if err := printStatus(&out, all); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
}

func TestStatusError_CountsFailedChecks(t *testing.T) {
	t.Parallel()
	all := []step.Status{{State: step.State{OK: true}}, {}, {State: step.State{OK: true}}, {}}
	if err := statusError(all); err == nil || err.Error() != "2 of 4 checks failed; run `setup up` to repair" {
		t.Errorf("statusError = %v", err)
	}
	if err := statusError(all[:1]); err != nil {
		t.Errorf("statusError = %v, want nil without a failed check", err)
	}
}
