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

func TestUninstall_SucceedsIfSomePodsStillWait(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	left := fmt.Errorf("%w: patching pod default/stuck: refused", uninstall.ErrPodsLeft)
	if err := reportUngated([]client.ObjectKey{{Namespace: "default", Name: "free"}}, left, &stdout, &stderr); err != nil {
		t.Errorf("reportUngated = %v, want no error", err)
	}
	if want := "ungated pod default/free\n"; stdout.String() != want {
		t.Errorf("stdout = %q, want %q", &stdout, want)
	}
	if !strings.Contains(stderr.String(), "default/stuck") {
		t.Errorf("stderr = %q, want the pod that is still gated", &stderr)
	}
}

func TestUninstall_FailsIfTheClusterDoes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	refused := errors.New("listing pods: refused")
	if err := reportUngated(nil, refused, &out, &out); !errors.Is(err, refused) {
		t.Errorf("reportUngated = %v, want %v", err, refused)
	}
}
