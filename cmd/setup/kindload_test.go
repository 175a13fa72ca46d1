package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kind/pkg/log"

	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/kindcli"
	"kind-local-registry/internal/push"
)

// loadHost is a host with one kind cluster that has two nodes.
type loadHost struct {
	ids         map[string]string // of the images in Docker
	copied      map[string]int64  // bytes that pushing an image copies
	refused     map[string]error  // why an image cannot be pushed
	undelivered error
	unreachable error
	pushed      []string
}

func (h *loadHost) ImageID(_ context.Context, reference string) (string, error) {
	return h.ids[reference], nil
}

func (h *loadHost) NodeNames() ([]string, error) {
	return []string{"dev-control-plane", "dev-worker"}, nil
}
func (h *loadHost) CheckDelivery(context.Context) error { return h.undelivered }

func (h *loadHost) Push(_ context.Context, references []string, observer images.Observer) ([]images.Pushed, error) {
	if h.unreachable != nil {
		return nil, h.unreachable
	}
	var outcomes []images.Pushed
	for i, reference := range references {
		outcome := images.Pushed{Image: reference, Err: h.refused[reference], Result: push.Result{Bytes: h.copied[reference]}}
		observer.Pushing(i, push.Progress{Total: 100})
		if outcome.Err == nil && h.copied[reference] > 0 {
			observer.Pushing(i, push.Progress{Total: 100, Bytes: 50})
		}
		observer.Pushed(i, outcome)
		outcomes, h.pushed = append(outcomes, outcome), append(h.pushed, reference)
	}
	return outcomes, nil
}

// lines is a logger that records what it is told to print.
type lines struct{ printed []string }

func (l *lines) Warn(message string)              { l.printed = append(l.printed, "W "+message) }
func (l *lines) Warnf(format string, args ...any) { l.Warn(fmt.Sprintf(format, args...)) }
func (l *lines) Error(message string)             { l.printed = append(l.printed, "E "+message) }
func (l *lines) Errorf(format string, args ...any) {
	l.Error(fmt.Sprintf(format, args...))
}
func (l *lines) V(log.Level) log.InfoLogger { return infoLines{l} }

type infoLines struct{ *lines }

func (l infoLines) Info(message string)              { l.printed = append(l.printed, message) }
func (l infoLines) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }
func (l infoLines) Enabled() bool                    { return true }

func TestPushInstead_PrintsALineForEachImage(t *testing.T) {
	t.Parallel()
	host := &loadHost{ids: map[string]string{"app:1": "sha256:a", "old:1": "sha256:b"}, copied: map[string]int64{"app:1": 50}}
	printed := &lines{}
	wanted := kindcli.Images{Cluster: "dev", Names: []string{"app:1", "old:1"}, Nodes: []string{"dev-worker"}, Log: printed}
	left, err := pushInstead(t.Context(), host, wanted)
	if len(left) > 0 || err != nil {
		t.Errorf("pushInstead = %q, %v; want nothing left to load", left, err)
	}
	want := []string{
		`Image: "app:1" with ID "sha256:a" not yet present in the registry, pushing...`,
		`Image: "old:1" with ID "sha256:b" found to be already present in the registry.`,
	}
	if diff := cmp.Diff(want, printed.printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestPushInstead_LeavesToKindWhatCannotBeDelivered(t *testing.T) {
	t.Parallel()
	ids := map[string]string{"app:1": "sha256:a", "big:1": "sha256:b", "6aeef4c549da": "sha256:c"}
	broken := errors.New("it is broken")
	for name, test := range map[string]struct {
		host   loadHost
		names  []string
		left   []string
		pushed []string
		reason string
	}{
		"the cluster is not set up":  {host: loadHost{undelivered: broken}, left: []string{"app:1", "big:1"}, reason: broken.Error()},
		"the pusher does not answer": {host: loadHost{unreachable: broken}, left: []string{"app:1", "big:1"}, reason: broken.Error()},
		"one image cannot be pushed": {
			host: loadHost{refused: map[string]error{"big:1": broken}}, left: []string{"big:1"}, pushed: []string{"app:1", "big:1"},
			reason: "big:1 is loaded, not pushed: it is broken",
		},
		"an image is named by its ID": {names: []string{"6aeef4c549da"}, left: []string{"6aeef4c549da"}, reason: "is an image ID"},
	} {
		if test.names == nil {
			test.names = []string{"app:1", "big:1"}
		}
		test.host.ids = ids
		printed := &lines{}
		left, err := pushInstead(t.Context(), &test.host, kindcli.Images{Cluster: "dev", Names: test.names, Log: printed})
		if err != nil || !slices.Equal(left, test.left) || !slices.Equal(test.host.pushed, test.pushed) {
			t.Errorf("%s: pushInstead = %q, %v, pushed %q; want %q left, %q pushed", name, left, err, test.host.pushed, test.left, test.pushed)
		}
		warns := func(line string) bool { return strings.HasPrefix(line, "W ") && strings.Contains(line, test.reason) }
		if !slices.ContainsFunc(printed.printed, warns) {
			t.Errorf("%s: printed %q, want a warning with %q", name, printed.printed, test.reason)
		}
	}
}

func TestPushInstead_FailsLikeKind(t *testing.T) {
	t.Parallel()
	host := &loadHost{ids: map[string]string{"app:1": "sha256:a"}, undelivered: errors.New("checked too early")}
	for want, wanted := range map[string]kindcli.Images{
		`image: "none:1" not present locally`: {Cluster: "dev", Names: []string{"app:1", "none:1"}},
		`unknown node: "dev-worker2"`:         {Cluster: "dev", Names: []string{"app:1"}, Nodes: []string{"dev-worker", "dev-worker2"}},
	} {
		wanted.Log = log.NoopLogger{}
		if left, err := pushInstead(t.Context(), host, wanted); err == nil || err.Error() != want || len(left) > 0 {
			t.Errorf("pushInstead = %q, %v; want the error %s", left, err, want)
		}
	}
}

// archiveHost is a host to which archives are pushed.
type archiveHost struct {
	loadHost

	outcomes map[string][]images.Pushed // by the archive's file
}

func (h *archiveHost) PushArchive(_ context.Context, from images.Archive, _ func(push.Progress)) ([]images.Pushed, error) {
	if outcomes, known := h.outcomes[from.Name]; known {
		return outcomes, nil
	}
	return nil, errors.New("it is broken")
}

func TestPushArchivesInstead_LeavesToKindWhatCannotBePushed(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	whole, partial, broken := filepath.Join(directory, "whole"), filepath.Join(directory, "partial"), filepath.Join(directory, "broken")
	for _, file := range []string{whole, partial, broken} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host := &archiveHost{outcomes: map[string][]images.Pushed{
		whole: {{Image: "app:1"}}, partial: {{Image: "app:2"}, {Image: "app:3", Err: errors.New("the registry is gone")}},
	}}
	printed := &lines{}
	left, err := pushArchivesInstead(t.Context(), host, kindcli.Images{Cluster: "dev", Names: []string{whole, partial, broken}, Log: printed})
	if err != nil || !slices.Equal(left, []string{partial, broken}) {
		t.Errorf("pushArchivesInstead = %q, %v; want %q", left, err, []string{partial, broken})
	}
	want := []string{
		`Image: "app:1" of ` + whole + ` is present in the registry.`,
		`Image: "app:2" of ` + partial + ` is present in the registry.`,
		`W setup kind: ` + partial + ` is loaded, not pushed: the registry is gone`,
		`W setup kind: ` + broken + ` is loaded, not pushed: it is broken`,
	}
	if diff := cmp.Diff(want, printed.printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	host.undelivered = errors.New("a node does not pull")
	if left, err := pushArchivesInstead(t.Context(), host, kindcli.Images{Cluster: "dev", Names: []string{whole}, Log: printed}); err != nil || len(left) != 1 {
		t.Errorf("pushArchivesInstead without delivery = %q, %v; want the archive left to kind", left, err)
	}
	missing := filepath.Join(directory, "missing")
	if _, err := pushArchivesInstead(t.Context(), host, kindcli.Images{Cluster: "dev", Names: []string{missing}, Log: printed}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pushArchivesInstead of a missing file = %v, want %v", err, os.ErrNotExist)
	}
}
