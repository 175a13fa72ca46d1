// Package docs_test checks the documentation against the code.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSecurity_NamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		tests.Write(code)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	if len(named) == 0 {
		t.Error("security.md names no test")
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), "func "+string(name[1])+"(") {
			t.Errorf("security.md names %s, and there is no such test", name[1])
		}
	}
}
