package main

import (
	"io"
	"strings"
	"testing"
)

func TestRun_RejectsUnknownMethods(t *testing.T) {
	t.Parallel()
	for methods, want := range map[string]string{
		"kind-load,linked": "",
		"kind-load,skopeo": `no method "skopeo"; the methods are kind-load, docker-push, unlinked, linked, floor`,
		"":                 `no method ""`,
		"floor":            "only be measured together with a method",
	} {
		directory := t.TempDir()
		if err := twoRounds().write(directory); err != nil {
			t.Fatal(err)
		}
		got := run(t.Context(), []string{"-draw", "-out", directory, "-methods", methods}, io.Discard)
		if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("run -methods %q = %v, want %q", methods, got, want)
		}
	}
}

func TestChosenMethods_KeepsOrder(t *testing.T) {
	t.Parallel()
	b := &bench{host: host{options: options{methods: "linked,kind-load"}}}
	chosen := b.chosenMethods()
	if len(chosen) != 2 || chosen[0].Name != kindLoad || chosen[1].Name != linked {
		t.Errorf("chosenMethods() = %v, want %s and %s", chosen, kindLoad, linked)
	}
}
