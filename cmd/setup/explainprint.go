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

// explainWidth is the maximum width of the table in characters. If a block would be wider, its notes are on separate lines.
const explainWidth = 100

// explainEntry describes the decision about one image field, or about an IMAGE argument, which has no place.
type explainEntry struct {
	place
	Field     string         `json:"field,omitempty"`
	Image     string         `json:"image"`
	Outcome   string         `json:"outcome"`
	Reason    rewrite.Reason `json:"reason"`
	Detail    string         `json:"detail,omitempty"`
	Rewritten string         `json:"rewritten,omitempty"` // "" if the image is left alone
	Digest    string         `json:"digest,omitempty"`
}

// place locates a pod in the manifests: its object, file and first line.
type place struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// newExplainEntries returns an entry for each image field of the templates. explained[i] belongs to templates[i].
func newExplainEntries(templates []*podmanifest.Template, explained []explain.Explanation) []explainEntry {
	entries := []explainEntry{} // an empty array in JSON, not null
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

// newExplainEntry returns a decision's entry, without the place.
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

// outcomeOf returns the decision's outcome in a word or two.
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

// explainTable returns one block for the IMAGE arguments, and one block for each pod.
func explainTable(entries []explainEntry) string {
	if len(entries) == 0 {
		return "No images found.\n"
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

// explainBlock returns a line that names the place, and then a row for each entry at that place. The notes are at the end of the
// rows. If that would make the block too wide, each note is on its own line below its image.
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

// explainRows returns a row of cells for each entry, with or without the entry's note.
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

// noteColumn returns the column where notes on their own lines begin: the images' column, or 2 if the entries have no place.
func noteColumn(entries []explainEntry) int {
	column := 2
	for _, entry := range entries {
		if entry.place != (place{}) {
			column = max(column, utf8.RuneCountInString(entry.Field)+4)
		}
	}
	return column
}

// note returns the rewritten image, or the decision's detail if the image is left alone.
func (e explainEntry) note() string {
	if e.Rewritten != "" {
		return shortDigest(e.Rewritten)
	}
	return strings.Join(strings.Fields(e.Detail), " ")
}

// align returns a line for each row, with two spaces between columns.
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
