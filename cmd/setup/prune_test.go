package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/inventory"
)

// fakePruner is a pruner with a fixed plan. It records the options of each call.
type fakePruner struct {
	plan  disk.Plan
	kept  int
	err   error // ends the removal once the registry is pruned
	calls []disk.Options
}

// Prune implements pruner.
func (f *fakePruner) Prune(_ context.Context, o disk.Options, progress disk.Progress) (disk.Pruned, error) {
	progress(disk.Step{Text: "listing images"})
	f.calls = append(f.calls, o)
	pruned := disk.Pruned{Plan: f.plan, NodeImages: []disk.NodeImage{}}
	if o.DryRun {
		return pruned, nil
	}
	pruned.Removed = &inventory.Removed{
		Images: make([]inventory.Reference, len(f.plan.Registry)-f.kept), Kept: make([]inventory.Reference, f.kept), Bytes: f.plan.RegistryBytes,
		Left: f.plan.RegistryLeft,
	}
	if f.err != nil {
		pruned.Plan = disk.Plan{}
		return pruned, f.err
	}
	pruned.NodeImages, pruned.NodeBytes = f.plan.Nodes, f.plan.NodeBytes
	return pruned, nil
}

// wantCalls fails the test unless the pruner was called for a plan first and, if want is 2, then to remove what was planned.
func (f *fakePruner) wantCalls(t *testing.T, want int) {
	t.Helper()
	if len(f.calls) != want || !f.calls[0].DryRun {
		t.Fatalf("%d calls, the first with %+v, want %d, the first as a dry run", len(f.calls), f.calls[0], want)
	}
	if want == 2 && (f.calls[1].DryRun || f.calls[1].Only == nil || len(f.calls[1].Only.Nodes) != 2) {
		t.Errorf("second call with %+v, want a removal of what was planned", f.calls[1])
	}
}

// somePlan returns a plan that removes one image from the registry, and an image from each of two nodes.
func somePlan() disk.Plan {
	onNode := func(node string) disk.NodeImage {
		name := "localhost:5001/example/app@" + digestWith("77").String()
		return disk.NodeImage{Node: node, ID: "sha256:1", Bytes: 31_000_000, References: []string{name}}
	}
	return disk.Plan{
		Registry: []disk.Image{{
			Repository: "example/app", Digest: digestWith("77"), InRegistry: true, Bytes: 31_000_000, LastUsed: time.Now().Add(-3 * time.Hour),
		}},
		RegistryBytes: 3_000_000, RegistryLeft: 120_000_000,
		Nodes: []disk.NodeImage{onNode("kind-control-plane"), onNode("kind-worker")}, NodeBytes: 62_000_000,
	}
}

const printedPlan = `registry            example/app                 770000000000  31 MB  last used 3 hours ago
kind-control-plane  localhost:5001/example/app  770000000000  31 MB
kind-worker         localhost:5001/example/app  770000000000  31 MB
This frees 3 MB in the registry, which keeps 120 MB, and up to 62 MB on 2 nodes.
`

func TestPrune_PrintsThePlanAndTheOutcome(t *testing.T) {
	t.Parallel()
	const removed = "Removed 1 image from the registry (3 MB freed, 120 MB left) and 2 images from 2 nodes (up to 62 MB freed).\n"
	blocked := disk.Plan{Blocked: "it is unknown which images the pods of kind cluster b use: stopped", BlockedBy: "b"}
	foreign := somePlan()
	foreign.Registry, foreign.RegistryBytes, foreign.Blocked = nil, 0, "it is another registry"
	for name, test := range map[string]struct {
		pruneOptions
		plan   disk.Plan
		kept   int
		answer string
		stdout string
		stderr string
		err    string
		calls  int
	}{
		"confirmed": {answer: "y\n", plan: somePlan(), stdout: removed, stderr: printedPlan + "Remove them? [y/N] ", calls: 2},
		"refused":   {answer: "n\n", plan: somePlan(), stderr: printedPlan + "Remove them? [y/N] ", err: "not confirmed", calls: 1},
		"--yes":     {pruneOptions: pruneOptions{yes: true}, plan: somePlan(), stdout: removed, stderr: printedPlan, calls: 2},
		"--dry-run": {
			pruneOptions: pruneOptions{dryRun: true}, plan: somePlan(), calls: 1,
			stdout: strings.ReplaceAll(printedPlan, "This frees", "This would free"),
		},
		"--quiet --yes": {pruneOptions: pruneOptions{yes: true, output: &printer{quiet: true}}, plan: somePlan(), calls: 2},
		"--quiet": {
			pruneOptions: pruneOptions{output: &printer{quiet: true}}, answer: "y\n", plan: somePlan(),
			stderr: printedPlan + "Remove them? [y/N] ", calls: 2,
		},
		"nothing to remove": {plan: disk.Plan{}, stdout: "Nothing to remove.\n", calls: 1},
		"used in the meantime": {
			pruneOptions: pruneOptions{yes: true}, plan: somePlan(), kept: 1, calls: 2,
			stderr: printedPlan, stdout: strings.Replace(strings.TrimSuffix(removed, "\n"), "1 image from", "0 images from", 1) +
				" 1 image kept, because it was used moments ago: run setup prune again.\n",
		},
		"a cluster is stopped": {
			pruneOptions: pruneOptions{yes: true}, plan: blocked, stdout: "Nothing to remove from the nodes.\n", calls: 1,
			err: "nothing is removed from the registry: it is unknown which images the pods of kind cluster b use: stopped; " +
				"start it (setup up --cluster b), or delete it (kind delete cluster --name b)",
		},
		"a node does not answer": {
			plan: disk.Plan{Faults: []string{"node n: exit status 1"}}, stdout: "A node is left alone: node n: exit status 1\nNothing to remove.\n", calls: 1,
		},
		"another registry": {
			pruneOptions: pruneOptions{dryRun: true}, plan: foreign, calls: 1,
			stdout: "The registry is left alone: it is another registry.\n" +
				strings.Join(strings.SplitAfter(printedPlan, "\n")[1:3], "") + "This would free up to 62 MB on 2 nodes.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			by := &fakePruner{plan: test.plan, kept: test.kept}
			if test.output == nil {
				test.output = &printer{}
			}
			test.output.w, test.format = &stderr, &format{}
			err := test.run(t.Context(), by, disk.Options{}, strings.NewReader(test.answer), &stdout)
			if diff := cmp.Diff(test.stdout, stdout.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("run = %v, want %q", err, test.err)
			}
			by.wantCalls(t, test.calls)
		})
	}
}

func TestPrune_PrintsJSONWithoutAsking(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	o := pruneOptions{yes: true, output: &printer{w: io.Discard}, format: &format{value: "json"}}
	if err := o.run(t.Context(), &fakePruner{plan: somePlan()}, disk.Options{}, nil, &stdout); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Plan struct {
			Registry      []map[string]any `json:"registry"`
			RegistryBytes int64            `json:"registryBytes"`
		} `json:"plan"`
		Removed struct {
			Bytes int64 `json:"bytes"`
			Left  int64 `json:"left"`
		} `json:"removed"`
		NodeImages []map[string]any `json:"nodeImages"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	if len(got.Plan.Registry) != 1 || got.Plan.RegistryBytes != 3_000_000 ||
		got.Removed.Bytes != 3_000_000 || got.Removed.Left != 120_000_000 || len(got.NodeImages) != 2 {
		t.Errorf("setup prune -o json = %+v", got)
	}
}

func TestPrune_PrintsWhatAFailedRemovalHasRemoved(t *testing.T) {
	t.Parallel()
	for form, wanted := range map[string][]string{
		"text": {"Removed 1 image from the registry (3 MB freed, 120 MB left).\n"},
		"json": {`"registryBytes": 3000000,`, `"left": 120000000`, `"nodeImages": [],`, `"error": "node kind-worker: exit status 1"`},
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			broken := errors.New("node kind-worker: exit status 1")
			o := pruneOptions{yes: true, output: &printer{w: io.Discard}, format: &format{value: form}}
			if err := o.run(t.Context(), &fakePruner{plan: somePlan(), err: broken}, disk.Options{}, nil, &stdout); !errors.Is(err, broken) {
				t.Errorf("run = %v, want %v", err, broken)
			}
			for _, want := range wanted {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout = %s, want it to contain %s", stdout.String(), want)
				}
			}
		})
	}
}

func TestPruneCheck_ReadsTheLimit(t *testing.T) {
	t.Parallel()
	o := pruneOptions{yes: true, format: &format{}, keepStorage: "20GB"}
	given, err := o.check(nil)
	if err != nil || given.Keep == nil || *given.Keep != 20_000_000_000 {
		t.Errorf("check = %+v, %v, want 20 GB", given, err)
	}
	o.keepStorage = "0"
	if given, err = o.check(nil); err != nil || given.Keep == nil || *given.Keep != 0 {
		t.Errorf("check of 0 = %+v, %v, want 0 bytes", given, err)
	}
}
