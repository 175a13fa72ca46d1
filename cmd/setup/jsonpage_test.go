package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/report"
)

// jsonIntroduction begins docs/json.md.
const jsonIntroduction = `# JSON documents

Every command of ` + "`setup`" + `, except ` + "`kind`" + ` and ` + "`kind-config`" + `, prints a JSON document on stdout if ` + "`-o json`" + ` is given. Progress, plans,
questions and errors are printed on stderr. ` + "`-q`" + ` turns progress off. If a command fails before it has a result, for example because
Docker does not answer, stdout is empty. The exit status is 0 after success, 1 after an error, 130 after Ctrl-C (SIGINT) and 143 after
SIGTERM. ` + "`setup watch`" + ` prints a document for each change, one per line, until Ctrl-C or SIGTERM, and then exits with status 0.

A later version may add fields, but it does not rename fields or change their types or meanings. Durations are in seconds, with at most
three decimals. Sizes are in bytes. An optional field is omitted if it has no value. An array is never null.

` + "`make generate`" + ` writes this page from the Go types in ` + "`internal/host/report`" + `, which a Go program can copy, and from the golden files of
the tests.
`

// TestJSONPage_DescribesTheTypes checks that docs/json.md describes the current types.
func TestJSONPage_DescribesTheTypes(t *testing.T) {
	t.Parallel()
	const path = "../../docs/json.md"
	want := jsonPage(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s differs from the types; run make generate:\n%s", path, diff)
	}
}

// jsonPage returns the text of docs/json.md.
func jsonPage(t *testing.T) string {
	t.Helper()
	p := &page{comments: reportComments(t)}
	p.WriteString(jsonIntroduction)
	headings := strings.NewReplacer("export", "export logs", "explainlive", "explain KIND/NAME")
	for _, command := range []string{
		"up", "down", "status", "push", "explain", "explainlive", "doctor", "export", "images", "prune", "verify", "version",
	} {
		document := reflect.TypeOf(documents[command+".json"]()).Elem()
		p.printf("\n## setup %s\n\n", headings.Replace(command))
		if document.Kind() == reflect.Slice {
			document = document.Elem()
		}
		p.describe(document)
		golden, err := os.ReadFile(filepath.Join("testdata", "golden", command+".json"))
		if err != nil {
			t.Fatal(err)
		}
		p.printf("\n<details><summary>Example</summary>\n\n```json\n%s```\n\n</details>\n", golden)
	}
	p.stream(t)
	for i := 0; i < len(p.shared); i++ { // describe may add more
		p.printf("\n## %s\n\n", p.shared[i].Name())
		p.describe(p.shared[i])
	}
	return p.String()
}

// stream describes the lines of setup watch.
func (p *page) stream(t *testing.T) {
	t.Helper()
	p.printf("\n## setup watch\n\n")
	p.describe(reflect.TypeFor[report.Watched]())
	golden, err := os.ReadFile(filepath.Join("testdata", "golden", "watch.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	p.printf("\n<details><summary>Example</summary>\n\n```json\n%s```\n\n</details>\n", golden)
}

// page is the text of docs/json.md.
type page struct {
	strings.Builder
	comments map[string]string // by type, or by type and field
	shared   []reflect.Type    // types that have a section of their own
}

// printf writes formatted text.
func (p *page) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

// describe writes a type's comment and a table with its fields.
func (p *page) describe(structure reflect.Type) {
	p.printf("%s\n\n| field | type | meaning |\n| --- | --- | --- |\n", p.comments[structure.Name()])
	for i := range structure.NumField() {
		field := structure.Field(i)
		if field.Anonymous {
			p.printf("| all fields of %s | | %s |\n", p.nameOf(field.Type), p.comments[field.Type.Name()])
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := p.nameOf(field.Type)
		if options == "omitempty" {
			kind += ", optional"
		}
		_, comment, _ := strings.Cut(p.comments[structure.Name()+"."+field.Name], " ")
		p.printf("| `%s` | %s | `%s` %s |\n", name, kind, name, comment)
	}
}

// nameOf returns a type's name on the page. If the type has fields, the name is a link to its section.
func (p *page) nameOf(of reflect.Type) string {
	switch {
	case of == reflect.TypeFor[report.Seconds]():
		return "number (seconds)"
	case of.Kind() == reflect.Pointer:
		return p.nameOf(of.Elem())
	case of.Kind() == reflect.Slice:
		return "array of " + p.nameOf(of.Elem())
	case of.Kind() == reflect.Struct:
		for _, known := range p.shared {
			if known == of {
				return fmt.Sprintf("[%s](#%s)", of.Name(), strings.ToLower(of.Name()))
			}
		}
		p.shared = append(p.shared, of)
		return p.nameOf(of)
	case of.Kind() == reflect.Int, of.Kind() == reflect.Int64:
		return "integer"
	case of.Kind() == reflect.Bool:
		return "boolean"
	}
	return of.Kind().String()
}

// reportComments returns the comments of the types in package report, and of their fields. Every type and field must have one.
func reportComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../internal/host/report/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the files of package report: %q, %v", files, err)
	}
	comments := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			declaration, ok := node.(*ast.GenDecl)
			if !ok || declaration.Tok != token.TYPE {
				return true
			}
			spec := declaration.Specs[0].(*ast.TypeSpec)
			comments[spec.Name.Name] = oneLine(declaration.Doc)
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						comments[spec.Name.Name+"."+name.Name] = oneLine(field.Doc)
					}
				}
			}
			return false
		})
	}
	for name, comment := range comments {
		if comment == "" {
			t.Errorf("%s in package report has no comment", name)
		}
	}
	return comments
}

// oneLine returns a comment's text in one line.
func oneLine(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}
