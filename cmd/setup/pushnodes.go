package main

import (
	"fmt"

	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/link/linkapi"
)

// onNodes describes how many nodes have all layers of an image. It returns "" if no node gets layers as hard links.
func onNodes(nodes []linkapi.NodeLayers) string {
	complete, linkable := 0, false
	for _, n := range nodes {
		if n.Complete() {
			complete++
		}
		linkable = linkable || n.Unlinkable == ""
	}
	if !linkable {
		return ""
	}
	return fmt.Sprintf("layers on %d of %s", complete, step.Count(len(nodes), "node"))
}

// nodeLines returns a line about each node.
func nodeLines(nodes []linkapi.NodeLayers) []string {
	if onNodes(nodes) == "" {
		return []string{"layers are not linked; setup status shows why"}
	}
	lines := make([]string, 0, len(nodes))
	for _, n := range nodes {
		line := fmt.Sprintf("%s has %d of %s", n.Name, n.Present, step.Count(n.Layers, "layer"))
		if n.Unlinkable != "" {
			line += fmt.Sprintf(", and pulls others: %s: %s", n.Unlinkable, n.Detail)
		}
		lines = append(lines, line)
	}
	return lines
}
