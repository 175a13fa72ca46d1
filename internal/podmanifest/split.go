package podmanifest

import (
	"errors"
	"strings"
)

// separator begins a document if it is at the beginning of a line and followed by white space, even inside a block scalar
// (https://yaml.org/spec/1.2.2/#912-document-markers). In kubectl, only a comment may follow on the same line.
const separator = "---"

// part is the text between two separators: one YAML document or a sequence of JSON documents.
type part struct {
	text string // includes the separator before it
	line int    // where text begins in the file, counted from 1
}

// normalize removes the byte order mark from text, replaces CRLF with LF, and adds a missing newline at the end.
func normalize(text string) (string, error) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return "", errors.New("encoded in UTF-16, for example by PowerShell; save it as UTF-8")
	}
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text, nil
}

// split returns the parts of a file's text.
func split(text string) []part {
	var parts []part
	begin, beginLine, offset, line := 0, 1, 0, 1
	for row := range strings.Lines(text) {
		if offset > begin && separates(row) {
			parts = append(parts, part{text[begin:offset], beginLine})
			begin, beginLine = offset, line
		}
		offset += len(row)
		line++
	}
	if offset > begin {
		parts = append(parts, part{text[begin:], beginLine})
	}
	return parts
}

// separates reports whether text begins with a separator.
func separates(text string) bool {
	rest, found := strings.CutPrefix(text, separator)
	return found && strings.IndexAny(rest, " \t\n") == 0
}

// body returns the part's text with spaces instead of the separator. This keeps all line and column numbers.
func (p part) body() string {
	if !separates(p.text) {
		return p.text
	}
	rest := strings.TrimLeft(p.text[len(separator):], " \t")
	return strings.Repeat(" ", len(p.text)-len(rest)) + rest
}
