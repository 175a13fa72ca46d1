package rewrite_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

func TestReasons_ListsEveryConstant(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []rewrite.Reason
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		for _, spec := range general.Specs {
			value, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, rewrite.Reason(value))
		}
	}
	if diff := cmp.Diff(constants, rewrite.Reasons()); diff != "" {
		t.Errorf("Reasons (-constants +list):\n%s", diff)
	}
}

func TestReasons_AreDocumentedInOrder(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []rewrite.Reason
	for _, heading := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllSubmatch(page, -1) {
		explained = append(explained, rewrite.Reason(heading[1]))
	}
	if diff := cmp.Diff(rewrite.Reasons(), explained); diff != "" {
		t.Errorf("docs/reasons.md (-list +page):\n%s", diff)
	}
}
