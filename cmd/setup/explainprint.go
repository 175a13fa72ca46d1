package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/podmanifest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/explain"
)

// explainWidth is the maximum width of the table in characters. If a block would be wider, its notes are on separate lines.
const explainWidth = 100

// newExplainEntries returns an entry for each image field of the templates. explained[i] belongs to templates[i].
func newExplainEntries(templates []*podmanifest.Template, explained []explain.Explanation) []report.Explained {
	entries := []report.Explained{} // an empty array in JSON, not null
	for i, template := range templates {
		for _, outcome := range explained[i].Outcomes {
			entry := newExplainEntry(outcome.Decision)
			if template.File != "" { // an IMAGE argument has no place
				entry.Field = outcome.Field.Path
				entry.Place = report.Place{
					File: template.File, Line: template.Line, Kind: template.Kind, Namespace: template.Pod.Namespace, Name: template.Name,
				}
			}
			entries = append(entries, entry)
		}
	}
	return entries
}

// newExplainEntry returns a decision's entry, without the place.
func newExplainEntry(decision rewrite.Decision) report.Explained {
	entry := report.Explained{
		Image: decision.Image, Outcome: outcomeOf(decision), Reason: string(decision.Reason), Detail: decision.Detail,
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

// print prints the document in the chosen format. text returns it for people.
func (o *explainOptions) print(w io.Writer, document any, text func() string) error {
	switch {
	case o.format.json():
		return printJSON(w, document)
	case o.format.value == "yaml":
		encoded, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		_, err = w.Write(encoded)
		return err
	case o.output.quiet:
		return nil
	}
	_, err := io.WriteString(w, text())
	return err
}

// explainTable returns one block for the IMAGE arguments, and one block for each pod.
func explainTable(entries []report.Explained) string {
	if len(entries) == 0 {
		return "No images found.\n"
	}
	var blocks []string
	for len(entries) > 0 {
		end := 1
		for end < len(entries) && entries[end].Place == entries[0].Place {
			end++
		}
		blocks = append(blocks, explainBlock(entries[:end]))
		entries = entries[end:]
	}
	return strings.Join(blocks, "\n")
}

// explainBlock returns a line that names the place, and then a row for each entry at that place. The notes are at the end of the
// rows. If that would make the block too wide, each note is on its own line below its image.
func explainBlock(entries []report.Explained) string {
	lines := align(explainRows(entries, true))
	if slices.ContainsFunc(lines, func(line string) bool { return utf8.RuneCountInString(line) > explainWidth }) {
		lines = align(explainRows(entries, false))
		for i, entry := range entries {
			if text := note(entry); text != "" {
				lines[i] += "\n" + strings.Repeat(" ", noteColumn(entries)) + text
			}
		}
	}
	if at := entries[0].Place; at != (report.Place{}) {
		title := fmt.Sprintf("%s %s (%s:%d)", at.Kind, path.Join(at.Namespace, at.Name), at.File, at.Line)
		lines = slices.Insert(lines, 0, title)
	}
	return strings.Join(lines, "\n") + "\n"
}

// explainRows returns a row of cells for each entry, with or without the entry's note.
func explainRows(entries []report.Explained, notes bool) [][]string {
	rows := make([][]string, 0, len(entries))
	for _, entry := range entries {
		row := []string{entry.Image, entry.Outcome, entry.Reason}
		if entry.Place != (report.Place{}) {
			row = slices.Insert(row, 0, "  "+entry.Field)
		}
		if notes {
			row = append(row, note(entry))
		}
		rows = append(rows, row)
	}
	return rows
}

// noteColumn returns the column where notes on their own lines begin: the images' column, or 2 if the entries have no place.
func noteColumn(entries []report.Explained) int {
	column := 2
	for _, entry := range entries {
		if entry.Place != (report.Place{}) {
			column = max(column, utf8.RuneCountInString(entry.Field)+4)
		}
	}
	return column
}

// note returns the rewritten image, or the decision's detail if the image is left alone.
func note(e report.Explained) string {
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
