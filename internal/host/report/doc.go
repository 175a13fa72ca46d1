// Package report defines the JSON documents that setup prints with -o json. docs/json.md describes them; it is generated from the
// comments in this package.
//
// It only defines types and converts the steps' results to them. Package host collects the facts, and cmd/setup prints the
// documents. A field may be added in any version. A field's name, type and meaning do not change.
package report
