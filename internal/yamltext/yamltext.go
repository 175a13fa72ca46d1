// Package yamltext splits a text into YAML documents, and keeps every byte. A YAML decoder would drop comments and blank lines, so it
// cannot serve a program that changes a user's file.
package yamltext

import "strings"

// Separator begins a document, if it is at the beginning of a line and white space or nothing follows it, even inside a block scalar
// (https://yaml.org/spec/1.2.2/#912-document-markers).
const Separator = "---"

// Part is the text of one document, or of what precedes the first separator.
type Part struct {
	// Text includes the separator before the document.
	Text string
	// Line is the number of the line in which Text begins, counted from 1.
	Line int
}

// Split returns the parts of a text, whose concatenation is the text.
func Split(text string) []Part {
	var parts []Part
	begin, offset, beginLine, line := 0, 0, 1, 1
	for row := range strings.Lines(text) {
		if offset > begin && Separates(row) {
			parts = append(parts, Part{text[begin:offset], beginLine})
			begin, beginLine = offset, line
		}
		offset += len(row)
		line++
	}
	if offset > begin {
		parts = append(parts, Part{text[begin:], beginLine})
	}
	return parts
}

// Separates reports whether a text begins with a separator.
func Separates(text string) bool {
	rest, found := strings.CutPrefix(text, Separator)
	return found && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n"))
}
