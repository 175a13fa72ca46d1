package main

import (
	"fmt"
	"io"
	"strings"

	"kind-local-registry/internal/host/step"
)

// printChanges prints a line for each change. On a terminal, actions that cannot be undone are red.
func printChanges(w io.Writer, changes []step.Change) {
	rows := make([][]string, 0, len(changes))
	for _, c := range changes {
		rows = append(rows, []string{"  " + string(c.Action), object(c), notes(c)})
	}
	for i, line := range align(rows) {
		if changes[i].Loss {
			line = colored(w, line, red)
		}
		_, _ = fmt.Fprintln(w, line)
	}
}

// object names the object of a change, such as "volume kind-registry".
func object(c step.Change) string {
	name := string(c.Kind) + " " + c.Name
	if c.Node != "" {
		name += " on " + c.Node
	}
	return name
}

// notes returns a change's size and detail, and how the change is undone.
func notes(c step.Change) string {
	var parts []string
	if c.Bytes > 0 {
		parts = append(parts, humanSize(c.Bytes))
	}
	for _, note := range []string{c.Detail, c.Back} {
		if note != "" {
			parts = append(parts, strings.Join(strings.Fields(note), " "))
		}
	}
	return strings.Join(parts, "; ")
}

// losses describes the changes that cannot be undone, such as "kind cluster dev and volume kind-registry (14.5 GB)". It returns "" if
// there are none.
func losses(changes []step.Change) string {
	var lost []string
	for _, c := range changes {
		if !c.Loss {
			continue
		}
		name := object(c)
		if c.Kind == step.Cluster {
			name = "kind " + name
		}
		if c.Bytes > 0 {
			name += " (" + humanSize(c.Bytes) + ")"
		}
		lost = append(lost, name)
	}
	return strings.Join(lost, " and ")
}
