package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/step"
)

// printPlan prints what a plan removes, and how much that frees.
func printPlan(w io.Writer, plan disk.Plan, dryRun bool) error {
	if plan.BlockedBy == "" && plan.Blocked != "" {
		if _, err := fmt.Fprintln(w, "The registry is left alone: "+plan.Blocked+"."); err != nil {
			return err
		}
	}
	for _, fault := range plan.Faults {
		if _, err := fmt.Fprintln(w, "A node is left alone: "+fault); err != nil {
			return err
		}
	}
	if plan.Empty() {
		if plan.Blocked != "" {
			_, err := fmt.Fprintln(w, "Nothing to remove from the nodes.")
			return err
		}
		_, err := fmt.Fprintln(w, "Nothing to remove.")
		return err
	}
	for _, line := range removals(plan) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	verb := "This frees"
	if dryRun {
		verb = "This would free"
	}
	_, err := fmt.Fprintf(w, "%s %s.\n", verb, strings.Join(frees(plan), ", and "))
	return err
}

// removals returns a line for each image that a plan removes.
func removals(plan disk.Plan) []string {
	var rows [][]string
	for _, image := range plan.Registry {
		rows = append(rows, []string{"registry", imageName(image), shortID(image.Digest), size(image.Bytes), "last used " + ago(image.LastUsed)})
	}
	for _, image := range plan.Nodes {
		rows = append(rows, []string{image.Node, nodeImageName(image), shortDigestOf(image), humanSize(image.Bytes)})
	}
	return align(rows)
}

// frees describes how much a plan frees.
func frees(plan disk.Plan) []string {
	var parts []string
	if plan.Blocked == "" && plan.RegistryBytes+int64(len(plan.Registry)) > 0 {
		parts = append(parts, fmt.Sprintf("%s in the registry, which keeps %s", humanSize(plan.RegistryBytes), humanSize(plan.RegistryLeft)))
	}
	if len(plan.Nodes) > 0 {
		parts = append(parts, fmt.Sprintf("up to %s on %s", humanSize(plan.NodeBytes), step.Count(countNodes(plan.Nodes), "node")))
	}
	return parts
}

// countNodes returns how many nodes have the images.
func countNodes(images []disk.NodeImage) int {
	var nodes []string
	for _, image := range images {
		nodes = append(nodes, image.Node)
	}
	slices.Sort(nodes)
	return len(slices.Compact(nodes))
}

// nodeImageName returns the first name of an image on a node, without its digest.
func nodeImageName(image disk.NodeImage) string {
	if len(image.References) == 0 {
		return "(no name)"
	}
	name, _, _ := strings.Cut(image.References[0], "@")
	return name
}

// shortDigestOf returns the first 12 digits of the digest in an image's names.
func shortDigestOf(image disk.NodeImage) string {
	for _, reference := range image.References {
		if _, d, found := strings.Cut(reference, "@sha256:"); found {
			return d[:min(len(d), 12)]
		}
	}
	return "-"
}

// printPruned prints what was removed.
func printPruned(w io.Writer, pruned disk.Pruned) error {
	var parts []string
	var kept int
	if removed := pruned.Removed; removed != nil {
		parts = append(parts, fmt.Sprintf("%s from the registry (%s freed, %s left)",
			step.Count(len(removed.Images), "image"), humanSize(removed.Bytes), humanSize(removed.Left)))
		kept = len(removed.Kept)
	}
	if len(pruned.NodeImages) > 0 {
		parts = append(parts, fmt.Sprintf("%s from %s (up to %s freed)", step.Count(len(pruned.NodeImages), "image"),
			step.Count(countNodes(pruned.NodeImages), "node"), humanSize(pruned.NodeBytes)))
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing")
	}
	text := "Removed " + strings.Join(parts, " and ") + "."
	if kept > 0 {
		text += fmt.Sprintf(" %s kept, because it was used moments ago: run setup prune again.", step.Count(kept, "image"))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
