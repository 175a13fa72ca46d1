package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// world is the set of links that are broken.
type world map[string]bool

// check returns a check that finds its link broken if the world says so.
func (w world) check(name string, after ...string) Check {
	return Check{Name: name, After: after, Why: "because", Probe: func(context.Context) (step.State, error) {
		if w[name] {
			return step.State{Detail: name + " is broken"}, nil
		}
		return step.State{OK: true, Detail: name}, nil
	}}
}

// fixable is like check, with a fix. The broken link hides the links in breaks, which are broken once the fix has run.
func (w world) fixable(name string, err error, breaks ...string) Check {
	check := w.check(name)
	check.Fix = func(context.Context, step.Progress) error {
		w[name] = err != nil
		for _, other := range breaks {
			w[other] = true
		}
		return err
	}
	return check
}

// silent is an Observer that prints nothing.
type silent struct{}

func (silent) Begin(string)    {}
func (silent) Progress(string) {}
func (silent) End(step.Result) {}

var ignoreDurations = cmpopts.IgnoreFields(report.Finding{}, "Duration")

func TestExamine_NamesOnlyTheFirstBrokenLink(t *testing.T) {
	t.Parallel()
	w := world{"b": true, "c": true, "d": true}
	var begun []string
	got, err := Examine(t.Context(), []Check{w.check("a"), w.check("b", "a"), w.check("c", "b"), w.check("d", "c"), w.check("e", "a")},
		func(check string) { begun = append(begun, check) })
	want := []report.Finding{
		{Check: "a", Outcome: report.Healthy, Found: "a"},
		{Check: "b", Outcome: report.Broken, Found: "b is broken", Why: "because", Remedy: "run setup up"},
		{Check: "c", Outcome: report.NotChecked, Because: "b"},
		{Check: "d", Outcome: report.NotChecked, Because: "b"},
		{Check: "e", Outcome: report.Healthy, Found: "e"},
	}
	if diff := cmp.Diff(want, got, ignoreDurations); err != nil || diff != "" {
		t.Errorf("Examine: %v, (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "e"}, begun); diff != "" {
		t.Errorf("begun checks (-want +got):\n%s", diff)
	}
}

func TestExamine_ReportsAnErrorAsAFinding(t *testing.T) {
	t.Parallel()
	unclear := Check{Name: "unclear", Probe: func(context.Context) (step.State, error) { return step.State{}, errors.New("no answer") }}
	got, err := Examine(t.Context(), []Check{unclear}, func(string) {})
	want := []report.Finding{{Check: "unclear", Outcome: report.Broken, Found: "no answer", Remedy: "run setup up"}}
	if diff := cmp.Diff(want, got, ignoreDurations); err != nil || diff != "" {
		t.Errorf("Examine: %v, (-want +got):\n%s", err, diff)
	}
}

func TestExamine_ReportsNothingAfterAnInterruption(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := Check{Name: "interrupted", Probe: func(context.Context) (step.State, error) {
		cancel()
		return step.State{}, context.Canceled
	}}
	if got, err := Examine(ctx, []Check{interrupted}, func(string) {}); !errors.Is(err, context.Canceled) || got != nil {
		t.Errorf("Examine = %v, %v; want no findings and %v", got, err, context.Canceled)
	}
}

func TestMend_ContinuesWithWhatARepairReveals(t *testing.T) {
	t.Parallel()
	w := world{"a": true}
	checks := []Check{w.fixable("a", nil, "b"), w.fixable("b", nil), w.check("c")}
	got, err := Mend(t.Context(), checks, silent{})
	want := []report.Repair{{Check: "a", Found: "a is broken"}, {Check: "b", Found: "b is broken"}}
	if diff := cmp.Diff(want, got.Repairs); err != nil || diff != "" || !got.OK {
		t.Errorf("Mend: OK %t, %v, repairs (-want +got):\n%s", got.OK, err, diff)
	}
}

func TestMend_TriesEachLinkOnceAndNothingForeign(t *testing.T) {
	t.Parallel()
	w := world{"a": true, "b": true, "c": true, "d": true}
	foreign := func(ours bool, err error) Check {
		check := w.fixable("c", nil)
		check.Ours = func(context.Context) (bool, error) { return ours, err }
		return check
	}
	unknown := foreign(true, errors.New("no answer"))
	unknown.Name = "d"
	unknown.Probe = w.check("d").Probe
	got, err := Mend(t.Context(), []Check{w.fixable("a", errors.New("disk full")), w.check("b"), foreign(false, nil), unknown}, silent{})
	want := []report.Repair{{Check: "a", Found: "a is broken", Error: "disk full"}}
	if diff := cmp.Diff(want, got.Repairs); err != nil || diff != "" {
		t.Errorf("Mend: %v, repairs (-want +got):\n%s", err, diff)
	}
	if got.OK || len(got.Broken()) != 4 {
		t.Errorf("Mend: OK %t, broken %v; want all four still broken", got.OK, got.Broken())
	}
}
