package main

import (
	"io"
	"strings"
	"testing"
)

// withSlowCase returns two rounds, and one of another case whose layers were pulled instead of linked.
func withSlowCase() *results {
	r := twoRounds()
	r.add(sample{"100MB", first, kindLoad, "delivery", 0, 2.6})
	r.add(sample{"100MB", first, linked, "delivery", 0, 2})
	return r
}

func TestAssert_FailsBelowSpeedUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		results *results
		cases   string
		atLeast float64
		want    string
	}{
		"fast enough":    {twoRounds(), "858MB", 100, ""},
		"too slow":       {twoRounds(), "858MB", 101, "858MB: linking makes the first delivery 100.0 times as fast as kind load (0.10 s instead of 10.00 s), want at least 101 times"},
		"not linked":     {withoutLinking(), "858MB", 10, `858MB: the first delivery was not measured with both "kind load" and "kind-local-registry, linked"`},
		"no kind load":   {without(kindLoad), "858MB", 10, `858MB: the first delivery was not measured with both "kind load" and "kind-local-registry, linked"`},
		"nothing wanted": {withoutLinking(), "858MB", 0, ""},
		"one case is slow": {
			withSlowCase(), "858MB,100MB", 10, "100MB: linking makes the first delivery 1.3 times as fast as kind load (2.00 s instead of 2.60 s), want at least 10 times",
		},
	} {
		cases, err := choose(test.cases)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := test.results.assert(cases, test.atLeast); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: assert = %q, want %q", name, got, test.want)
		}
	}
}

func TestRun_FailsBelowSpeedUp(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := twoRounds().write(directory); err != nil {
		t.Fatal(err)
	}
	for atLeast, want := range map[string]string{
		"100":  "",
		"101":  "want at least 101 times",
		"Inf":  "want at least +Inf times",
		"-1":   "-assert must be at least 0",
		"NaN":  "-assert must be at least 0",
		"fast": "invalid value",
	} {
		got := run(t.Context(), []string{"-draw", "-out", directory, "-cases", "858MB", "-assert", atLeast}, io.Discard)
		if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("run -assert %s = %v, want %q", atLeast, got, want)
		}
	}
}
