package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"kind-local-registry/internal/podmanifest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/explain"
)

// explainWidth is how many columns the table may have before it puts what is long on lines of their own.
const explainWidth = 100

// explainEntry is what was decided about one image field. An image that was named, and not read from a manifest, has no
// place.
type explainEntry struct {
	place
	Field     string         `json:"field,omitempty"`
	Image     string         `json:"image"`
	Outcome   string         `json:"outcome"`
	Reason    rewrite.Reason `json:"reason"`
	Detail    string         `json:"detail,omitempty"`
	Rewritten string         `json:"rewritten,omitempty"` // "" where the image is left alone
	Digest    string         `json:"digest,omitempty"`
}

// place is where a pod is described: the object, and the line where the pod begins in its file.
type place struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// newExplainEntries returns an entry for each image field of the templates, which were explained in their order.
func newExplainEntries(templates []*podmanifest.Template, explained []explain.Explanation) []explainEntry {
	entries := []explainEntry{} // an array in JSON also where there are none
	for i, template := range templates {
		at := place{template.File, template.Line, template.Kind, template.Namespace, template.Name}
		for _, outcome := range explained[i].Outcomes {
			entry := newExplainEntry(outcome.Decision)
			if entry.place = at; at != (place{}) {
				entry.Field = outcome.Field.Path
			}
			entries = append(entries, entry)
		}
	}
	return entries
}

// newExplainEntry returns the entry of a decision, without its place.
func newExplainEntry(decision rewrite.Decision) explainEntry {
	entry := explainEntry{
		Image: decision.Image, Outcome: outcomeOf(decision), Reason: decision.Reason, Detail: decision.Detail,
		Digest: decision.Digest,
	}
	if decision.Changed() {
		entry.Rewritten = decision.Rewritten
	}
	return entry
}

// outcomeOf says in a word or two what becomes of an image.
func outcomeOf(decision rewrite.Decision) string {
	switch {
	case decision.NeedsPush():
		return "pushed first"
	case decision.Changed():
		return "rewritten"
	}
	return "left alone"
}

// printExplained prints the entries in the format: json, yaml, or "" for a table.
func printExplained(w io.Writer, entries []explainEntry, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(entries)
	case "yaml":
		text, err := yaml.Marshal(entries)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	_, err := io.WriteString(w, explainTable(entries))
	return err
}

// explainTable returns a block for each pod, and one for the images that were named.
func explainTable(entries []explainEntry) string {
	if len(entries) == 0 {
		return "No pod names an image here.\n"
	}
	var blocks []string
	for len(entries) > 0 {
		end := 1
		for end < len(entries) && entries[end].place == entries[0].place {
			end++
		}
		blocks = append(blocks, explainBlock(entries[:end]))
		entries = entries[end:]
	}
	return strings.Join(blocks, "\n")
}

// explainBlock returns a row for each entry of one place, below a line that names it. What an image becomes, or why it is
// left alone, ends its row, or stands below the image where that would make the block too wide.
func explainBlock(entries []explainEntry) string {
	lines := align(explainRows(entries, true))
	if slices.ContainsFunc(lines, func(line string) bool { return utf8.RuneCountInString(line) > explainWidth }) {
		lines = align(explainRows(entries, false))
		for i, entry := range entries {
			if note := entry.note(); note != "" {
				lines[i] += "\n" + strings.Repeat(" ", noteColumn(entries)) + note
			}
		}
	}
	if at := entries[0].place; at != (place{}) {
		title := fmt.Sprintf("%s %s (%s:%d)", at.Kind, path.Join(at.Namespace, at.Name), at.File, at.Line)
		lines = slices.Insert(lines, 0, title)
	}
	return strings.Join(lines, "\n") + "\n"
}

// explainRows returns the columns of the entries of one place, the notes among them or not.
func explainRows(entries []explainEntry, notes bool) [][]string {
	rows := make([][]string, 0, len(entries))
	for _, entry := range entries {
		row := []string{entry.Image, entry.Outcome, string(entry.Reason)}
		if entry.place != (place{}) {
			row = slices.Insert(row, 0, "  "+entry.Field)
		}
		if notes {
			row = append(row, entry.note())
		}
		rows = append(rows, row)
	}
	return rows
}

// noteColumn returns the column below the images, or for images without place a little to the right of their start.
func noteColumn(entries []explainEntry) int {
	column := 2
	for _, entry := range entries {
		if entry.place != (place{}) {
			column = max(column, utf8.RuneCountInString(entry.Field)+4)
		}
	}
	return column
}

// note says what the image becomes, or why it is left alone where the reason does not say all.
func (e explainEntry) note() string {
	if e.Rewritten != "" {
		return shortDigest(e.Rewritten)
	}
	return strings.Join(strings.Fields(e.Detail), " ")
}

// align returns a line for each row, with columns two blanks apart.
func align(rows [][]string) []string {
	widths := map[int]int{}
	for _, row := range rows {
		for column, cell := range row {
			widths[column] = max(widths[column], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var line strings.Builder
		for column, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[column], cell)
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}
