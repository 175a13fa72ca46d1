package podmanifest

import (
	"errors"
	"strings"

	"kind-local-registry/internal/yamltext"
)

// part is one YAML document, or a sequence of JSON documents. Its lines end in LF. In kubectl, only a comment may follow the separator
// on the same line.
type part yamltext.Part

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

// body returns the part's text with spaces instead of the separator. This keeps all line and column numbers.
func (p part) body() string {
	if !yamltext.Separates(p.Text) {
		return p.Text
	}
	rest := strings.TrimLeft(p.Text[len(yamltext.Separator):], " \t")
	return strings.Repeat(" ", len(p.Text)-len(rest)) + rest
}
