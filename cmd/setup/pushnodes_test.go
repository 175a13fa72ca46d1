package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/link/linkapi"
)

// someNodes returns two nodes that have all five layers of an image, and one that has two of them.
func someNodes() []linkapi.NodeLayers {
	return []linkapi.NodeLayers{
		{Node: linkapi.Node{Name: "kind-control-plane", Cluster: "kind"}, Layers: 5, Present: 5},
		{Node: linkapi.Node{Name: "kind-worker", Cluster: "kind"}, Layers: 5, Present: 2},
		{
			Node:   linkapi.Node{Name: "kind-worker2", Cluster: "kind", State: linkapi.State{Unlinkable: linkapi.OtherFileSystem, Detail: "EXDEV"}},
			Layers: 5, Present: 5,
		},
	}
}

func TestPushView_ShowsWhichNodesHaveTheLayers(t *testing.T) {
	t.Parallel()
	const line = "✓ example/app:local  localhost:5001/example/app:local@sha256:abcdef012345…  31.2 MB pushed, 827 MB already present, 0.4 s"
	const off = "  example/app:local  layers are not linked; setup status shows why\n"
	for name, test := range map[string]struct {
		nodes          []linkapi.NodeLayers
		verbose        bool
		stdout, stderr string
	}{
		"linking is on":               {someNodes(), false, line + ", layers on 2 of 3 nodes\n", ""},
		"linking is off":              {nil, false, line + "\n", ""},
		"no node can be given layers": {someNodes()[2:], false, line + "\n", ""},
		"linking is on, with -v": {someNodes(), true, line + ", layers on 2 of 3 nodes\n", `  example/app:local  kind-control-plane has 5 of 5 layers
  example/app:local  kind-worker has 2 of 5 layers
  example/app:local  kind-worker2 has 5 of 5 layers, and pulls others: OtherFileSystem: EXDEV
`},
		"linking is off, with -v":              {nil, true, line + "\n", off},
		"no node can be given layers, with -v": {someNodes()[2:], true, line + "\n", off},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			view := newPushView(&printer{w: &stderr, verbose: test.verbose}, &pushResults{w: &stdout, images: []string{"example/app:local"}})
			pushed := pushedApp()
			pushed.Nodes = test.nodes
			view.Pushed(0, pushed)
			view.close()
			if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{stdout.String(), stderr.String()}); diff != "" {
				t.Errorf("stdout and stderr (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPushView_PrintsNoNodesOfFailedPush(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	view := newPushView(&printer{w: &stderr, verbose: true}, &pushResults{w: &stdout, images: []string{"x/none:1"}})
	view.Pushed(0, notOnHost())
	if stderr.Len() > 0 || strings.Contains(stdout.String(), "layers") {
		t.Errorf("stdout is %q and stderr %q, want nothing about layers", stdout.String(), stderr.String())
	}
}
