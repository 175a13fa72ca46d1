package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/webhook/uninstall"
)

func TestRelease_SucceedsWhereSomePodsAreLeft(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	left := fmt.Errorf("%w: patching pod default/stuck: refused", uninstall.ErrPodsLeft)
	if err := tellReleased([]client.ObjectKey{{Namespace: "default", Name: "free"}}, left, &stdout, &stderr); err != nil {
		t.Errorf("tellReleased = %v, want no error", err)
	}
	if want := "let go pod default/free\n"; stdout.String() != want {
		t.Errorf("stdout = %q, want %q", &stdout, want)
	}
	if !strings.Contains(stderr.String(), "default/stuck") {
		t.Errorf("stderr = %q, want the pod that is left", &stderr)
	}
}

func TestRelease_FailsWhereTheClusterDoes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	refused := errors.New("listing pods: refused")
	if err := tellReleased(nil, refused, &out, &out); !errors.Is(err, refused) {
		t.Errorf("tellReleased = %v, want %v", err, refused)
	}
}
