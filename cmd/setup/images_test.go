package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
)

// digestWith returns a digest whose first digits are the prefix.
func digestWith(prefix string) digest.Digest {
	return digest.Digest("sha256:" + prefix + strings.Repeat("0", 64-len(prefix)))
}

// someReport returns a report about one image of every sort.
func someReport() disk.Report {
	onNode := []disk.NodeImage{{
		Cluster: "kind", Node: "kind-worker", ID: "sha256:1", References: []string{"localhost:5001/example/app@sha256:1"},
	}}
	use := func(kind, name string) disk.Use {
		return disk.Use{Cluster: "kind", Kind: kind, Namespace: "default", Name: name, Image: "localhost:5001/example/app:local"}
	}
	return disk.Report{
		RegistryHost: "localhost:5001",
		Registry:     &disk.Storage{Bytes: 123_456_789, Unneeded: 1000, Limit: 20_000_000_000},
		Images: []disk.Image{
			{
				Digest: digestWith("0a"), Tags: []string{}, Host: []string{}, Nodes: onNode, UsedBy: []disk.Use{},
			},
			{
				Repository: "example/app", Digest: digestWith("1a2b3c"), Tags: []string{"local", "v1"}, InRegistry: true,
				Bytes: 31_234_567, OwnBytes: 4_000_000,
				Host: []string{"example/app:local"}, Nodes: append(onNode, onNode...), Used: true, LastUsed: time.Now().Add(-3 * time.Minute),
				UsedBy: []disk.Use{use("Deployment", "app"), use("Pod", "app-2"), use("Pod", "app-1")},
			},
			{
				Repository: "example/app", Digest: digestWith("77"), Tags: []string{}, InRegistry: true, Bytes: 31_000_000, OwnBytes: 3_000_000,
				Host: []string{}, Nodes: []disk.NodeImage{}, UsedBy: []disk.Use{}, LastUsed: time.Now().Add(-3 * time.Hour),
			},
			{
				Repository: "new", Digest: digestWith("88"), Tags: []string{}, Promised: true, Used: true, HostBytes: 5_000_000,
				Host: []string{"new:1"}, Nodes: []disk.NodeImage{}, UsedBy: []disk.Use{use("Pod", "new")},
			},
			{Repository: "only-here", Used: true, Host: []string{"only-here:1"}, HostBytes: 7_000_000},
		},
		Clusters: []disk.Cluster{
			{Name: "kind", Nodes: []string{"kind-worker"}},
			{Name: "old", Nodes: []string{}, Unknown: "no control-plane node is running"},
			{Name: "broken", Nodes: []string{"broken-worker"}, Faults: []string{"node broken-worker: exit status 1"}},
		},
	}
}

func TestImages_PrintsATable(t *testing.T) {
	t.Parallel()
	other := someReport()
	other.Registry, other.Images, other.Clusters = nil, other.Images[:1], nil
	for name, test := range map[string]struct {
		report disk.Report
		want   string
	}{
		"our registry": {someReport(), `IMAGE                 DIGEST        SIZE     OWN   HOST  NODES  USED BY                       LAST USED
(from kind load)      0a0000000000  -        -     -     1      -                             -
example/app:local,v1  1a2b3c000000  31.2 MB  4 MB  yes   2      pod default/app-1 and 2 more  3 minutes ago
example/app           770000000000  31 MB    3 MB  -     -      -                             3 hours ago
new:1 (promised)      880000000000  5 MB     -     yes   -      pod default/new               -
only-here:1           -             7 MB     -     yes   -      -                             -

The registry has 123 MB of at most 20 GB. 2 images are not used; setup prune frees at least 3 MB of it.
It is unknown which images the pods of kind cluster old use: no control-plane node is running
The images of a node are missing: node broken-worker: exit status 1
`},
		"another registry": {other, `IMAGE             DIGEST        SIZE  OWN  HOST  NODES  USED BY  LAST USED
(from kind load)  0a0000000000  -     -    -     1      -        -

The registry is not the one that setup contains, so it cannot list its images. The table shows the images on nodes.
`},
		"nothing to remove": {disk.Report{Registry: &disk.Storage{Bytes: 5000}}, `IMAGE  DIGEST  SIZE  OWN  HOST  NODES  USED BY  LAST USED

The registry has 5 kB. All images are used.
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := printImages(&out, test.report); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("setup images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImages_PrintsTypedJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	report := someReport()
	report.Images = report.Images[1:2]
	report.Images[0].LastUsed = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	if err := (&imagesOptions{output: &printer{}, format: &format{value: "json"}}).print(&out, report); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	node := map[string]any{
		"cluster": "kind", "node": "kind-worker", "id": "sha256:1", "references": []any{"localhost:5001/example/app@sha256:1"}, "bytes": 0.0,
	}
	use := func(kind, name string) map[string]any {
		return map[string]any{"cluster": "kind", "kind": kind, "namespace": "default", "name": name, "image": "localhost:5001/example/app:local"}
	}
	want := map[string]any{
		"registryHost": "localhost:5001",
		"registry":     map[string]any{"bytes": 123456789.0, "unneededBytes": 1000.0, "limitBytes": 20000000000.0},
		"clusters": []any{
			map[string]any{"name": "kind", "nodes": []any{"kind-worker"}},
			map[string]any{"name": "old", "nodes": []any{}, "unknown": "no control-plane node is running"},
			map[string]any{"name": "broken", "nodes": []any{"broken-worker"}, "faults": []any{"node broken-worker: exit status 1"}},
		},
		"images": []any{map[string]any{
			"repository": "example/app", "digest": digestWith("1a2b3c").String(), "tags": []any{"local", "v1"}, "inRegistry": true,
			"bytes": 31234567.0, "ownBytes": 4000000.0, "lastUsed": "2026-01-31T12:00:00Z", "host": []any{"example/app:local"},
			"nodes": []any{node, node}, "usedBy": []any{use("Deployment", "app"), use("Pod", "app-2"), use("Pod", "app-1")}, "used": true,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("setup images -o json (-want +got):\n%s", diff)
	}
}
