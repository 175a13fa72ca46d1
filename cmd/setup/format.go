package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// format is the value of a command's flag --output.
type format struct {
	value     string
	known     []string
	otherwise string // what the command prints without the flag, such as "a table"
}

// newFormat adds the flag --output to the command. otherwise names what the command prints without the flag.
func newFormat(command *cobra.Command, otherwise string, known ...string) *format {
	f := &format{known: known, otherwise: otherwise}
	names := strings.Join(known, " or ")
	command.Flags().StringVarP(&f.value, "output", "o", "", "output format: "+names+", see docs/json.md (default "+otherwise+")")
	complete(command, "output", known...)
	return f
}

// check returns an error if the format is unknown.
func (f *format) check() error {
	if f.value == "" || slices.Contains(f.known, f.value) {
		return nil
	}
	return fmt.Errorf("--output %q is unknown: use %s, or leave --output out for %s", f.value, strings.Join(f.known, " or "), f.otherwise)
}

// json reports whether the command prints a JSON document.
func (f *format) json() bool { return f.value == "json" }

// printJSON prints a JSON document.
func printJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}
