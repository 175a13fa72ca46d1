package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/inventory"
	"kind-local-registry/webhook/livepod"
)

// documents maps the golden file of each document that setup prints with -o json to the document's type.
var documents = map[string]func() any{
	"up.json":          func() any { return &report.Up{} },
	"down.json":        func() any { return &report.Down{} },
	"status.json":      func() any { return &report.Status{} },
	"push.json":        func() any { return &[]report.Push{} },
	"explain.json":     func() any { return &[]report.Explained{} },
	"explainlive.json": func() any { return &report.ExplainedObjects{} },
	"version.json":     func() any { return &report.Version{} },
	"doctor.json":      func() any { return &report.Doctor{} },
	"export.json":      func() any { return &report.Export{} },
	"images.json":      func() any { return &report.Images{} },
	"prune.json":       func() any { return &report.Prune{} },
	"verify.json":      func() any { return &report.Verify{} },
}

// someFacts returns facts with a value in every field.
func someFacts() report.Facts {
	return report.Facts{
		Setup:  "v0.1.0",
		Docker: report.Docker{Version: "29.8.0", Driver: "overlay2", Socket: "/run/docker.sock"},
		Cluster: report.Cluster{
			Name: "dev", State: "running", Origin: "adopted", Context: "kind-dev", Kubernetes: "v1.37.2",
			Nodes: []report.Node{{Name: "dev-control-plane", Kubelet: "v1.37.2", Containerd: "2.3.0"}},
		},
		Registry: report.Registry{
			Container: report.Container{
				Container: "kind-registry", State: "running", Origin: "created", Image: someDigest.String(), Address: "172.18.255.253",
			},
			Host: "localhost:5001", Port: 5001, URL: "http://127.0.0.1:5001",
		},
		Pusher: report.Container{
			Container: "kind-registry-pusher", State: "running", Origin: "created", Image: someDigest.String(), Address: "172.18.255.252",
		},
		Linker: report.Container{Container: "kind-registry-linker", State: "absent"},
		Webhook: report.Webhook{
			Image:  "localhost:5001/kind-local-registry/webhook:v0.1.0@" + someDigest.String(),
			Digest: someDigest.String(), Available: 1, RestartOnRebuild: true,
		},
	}
}

// someImages returns a report whose times do not depend on when the test runs.
func someImages() disk.Report {
	images := someReport()
	for i := range images.Images {
		if !images.Images[i].LastUsed.IsZero() {
			images.Images[i].LastUsed = time.Date(2026, 1, 31, 12, i, 0, 0, time.UTC)
		}
	}
	return images
}

// someChanges returns changes that together have a value in every field.
func someChanges() []step.Change {
	return []step.Change{
		{
			Action: step.Replace, Kind: step.File, Name: "/etc/containerd/config.toml", Node: "dev-worker",
			Detail: "config_path is set to /etc/containerd/certs.d", Back: "setup down restores it",
		},
		{Action: step.Delete, Kind: step.Volume, Name: "kind-registry", Detail: "every image in the registry", Bytes: 14_500_000_000, Loss: true},
	}
}

func TestDocuments_MatchGoldenFiles(t *testing.T) { // not parallel: with -update, it writes what parallel tests read
	printer := &printer{results: []step.Result{
		{Step: "cluster", Detail: "dev, 1 node, adopted", Duration: 12 * time.Millisecond},
		{Step: "registry", Changed: true, Duration: 1234567 * time.Microsecond, Err: errors.New("registry: no space left")},
	}}
	failed := errors.New("registry: no space left")
	down := downOptions{output: printer}
	up := upOptions{output: printer}
	for name, document := range map[string]any{
		"up.json":   up.document(someFacts(), someChanges()[:1], true, 1250*time.Millisecond, failed),
		"down.json": down.document(someFacts(), someChanges(), 1250*time.Millisecond, failed),
		"status.json": report.Status{Facts: someFacts(), Checks: report.Checks([]step.Status{
			{Step: "cluster", State: step.State{OK: true, Detail: "dev, 1 node, adopted"}, Duration: 12 * time.Millisecond},
			{Step: "pusher", State: step.State{Detail: "no container kind-registry-pusher", Remedy: "run setup up"}, Duration: time.Millisecond},
		})},
		"doctor.json": report.Doctor{
			Facts: someFacts(),
			Findings: []report.Finding{
				{Check: "Docker", Outcome: report.Healthy, Found: "Docker 29.8.0, overlay2", Duration: 0.012},
				{
					Check: "linker", Outcome: report.Broken, Found: "no container kind-registry-linker", Fixable: true, Duration: 0.003,
					Why: "without the linker, nodes copy every layer, which takes longer and more disk space", Remedy: "run setup up",
				},
				{Check: "linking", Outcome: report.NotChecked, Because: "linker"},
			},
			Repairs: []report.Repair{{Check: "linker", Found: "no container kind-registry-linker", Error: "linker: no space left"}},
		},
		"export.json": report.Export{Directory: "logs", Files: []string{"README.txt", "cluster.error"}, Missing: []string{"cluster"}},
		"images.json": newImages(someImages()),
		"prune.json": newPrune(disk.Pruned{
			Plan: disk.Plan{
				Registry: someImages().Images[1:2], RegistryBytes: 4_000_000, RegistryLeft: 119_000_000,
				Nodes: someImages().Images[0].Nodes, NodeBytes: 31_000_000, Faults: []string{"node kind-worker2: no answer"},
			},
			Removed: &inventory.Removed{
				Images: []inventory.Reference{{Repository: "example/app", Digest: digestWith("1a2b3c")}}, Kept: []inventory.Reference{},
				Blobs: 3, Bytes: 4_000_000, Left: 119_000_000,
			},
			NodeImages: someImages().Images[0].Nodes, NodeBytes: 31_000_000,
		}, false, errors.New("node kind-worker2 is left alone")),
		"verify.json": newVerify(disk.Verified{
			Blobs: 20, Bytes: 2_000_000, Damaged: []digest.Digest{digestWith("a1")}, Faults: []disk.Fault{{
				Fault: inventory.Fault{
					Problem: inventory.BlobsLost, Repository: "example/app", Digest: digestWith("77"), Tags: []string{"local"},
					Config: digestWith("c1"), Missing: []digest.Digest{digestWith("a1")},
				},
				Detail: "the host no longer has this build of example/app",
			}},
		}),
		"explainlive.json": someObjects(),
		"version.json": newVersion(&debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
			{Key: "vcs.time", Value: "2026-09-01T12:00:00Z"},
			{Key: "vcs.modified", Value: "true"},
		}}),
	} {
		if version, ok := document.(report.Version); ok { // these two depend on the machine
			version.Go, version.Platform = "go1.26.8", "linux/amd64"
			document = version
		}
		var out bytes.Buffer
		if err := printJSON(&out, document); err != nil {
			t.Fatal(err)
		}
		compareGolden(t, name, out.String())
	}
}

// TestDocuments_DecodeIntoTheirTypes checks that the golden files have no field that the types lack, and that decoding loses nothing.
func TestDocuments_DecodeIntoTheirTypes(t *testing.T) {
	t.Parallel()
	for name, newDocument := range documents {
		golden, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			t.Fatal(err)
		}
		document := newDocument()
		decoder := json.NewDecoder(bytes.NewReader(golden))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(document); err != nil {
			t.Errorf("decoding %s into %T: %v", name, document, err)
		}
		var again bytes.Buffer
		if err := printJSON(&again, document); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(golden), again.String()); diff != "" {
			t.Errorf("%s encoded again (-golden +got):\n%s", name, diff)
		}
	}
}

func TestDocuments_HaveEmptyArraysAndNotNull(t *testing.T) {
	t.Parallel()
	output := &printer{}
	up, down := upOptions{output: output}, downOptions{output: output}
	facts := report.Facts{Cluster: report.Cluster{Nodes: []report.Node{}}}
	for name, document := range map[string]any{
		"up": up.document(facts, nil, false, 0, nil), "down": down.document(facts, nil, 0, nil),
		"status": report.Status{Facts: facts, Checks: report.Checks(nil)}, "images": newImages(disk.Report{Images: make([]disk.Image, 1)}),
		"prune": newPrune(disk.Pruned{}, true, nil), "verify": newVerify(disk.Verified{}),
		"explain KIND/NAME": newExplainedObjects("kind", livepod.Explanation{Pods: []livepod.Pod{{Found: livepod.Found{Pod: &corev1.Pod{}}}}}),
	} {
		var out bytes.Buffer
		if err := printJSON(&out, document); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out.Bytes(), []byte("null")) {
			t.Errorf("setup %s prints null, want empty arrays:\n%s", name, out.String())
		}
	}
}

func TestPushEntry_HasSecondsWithThreeDecimals(t *testing.T) {
	t.Parallel()
	got := newPushEntry(images.Pushed{Duration: 412345 * time.Microsecond}).Duration
	if got != 0.412 {
		t.Errorf("duration of 412.345 ms = %v, want 0.412", got)
	}
}
