package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/app"
)

// mounted is a file like those in a ConfigMap volume: a symbolic link through another link, ..data, which the kubelet swaps.
type mounted struct{ directory string }

// change swaps the file for one with the given content.
func (m mounted) change(t *testing.T, content string) {
	t.Helper()
	version := t.TempDir()
	if err := os.WriteFile(filepath.Join(version, "rules.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(m.directory, "..data")
	if err := os.Symlink(version, link+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		t.Fatal(err)
	}
}

// mount creates a mounted file with the given content.
func mount(t *testing.T, content string) (file mounted, path string) {
	t.Helper()
	file = mounted{t.TempDir()}
	file.change(t, content)
	path = filepath.Join(file.directory, "rules.yaml")
	if err := os.Symlink(filepath.Join("..data", "rules.yaml"), path); err != nil {
		t.Fatal(err)
	}
	return file, path
}

func TestRulesFile_KeepsValidRulesWhenItBecomesInvalid(t *testing.T) {
	t.Parallel()
	file, path := mount(t, "images: {exclude: [first]}")
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		opened, err := app.OpenRules(path, funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = opened.Start(ctx) }()
		holds := func(when, image, wantLine string) {
			t.Helper()
			time.Sleep(30 * time.Second) // in the bubble
			synctest.Wait()
			if got, want := opened.Current().Images.Exclude, []string{image}; !cmp.Equal(got, want) {
				t.Errorf("%s: rules exclude %q, want %q", when, got, want)
			}
			logged := strings.Join(lines, "\n")
			if lines = nil; strings.Count(logged, "\n") != 0 || !strings.Contains(logged, wantLine) || (logged == "") != (wantLine == "") {
				t.Errorf("%s: logged %q, want one line with %q", when, logged, wantLine)
			}
		}
		holds("at first", "first", "")
		file.change(t, "images: {exclude: [second]}")
		holds("after a change", "second", "rules changed")
		file.change(t, "images: {exclude: ['[']}")
		holds("with bad rules", "second", "syntax error in pattern")
		holds("still with bad rules", "second", "")
		if err := os.Remove(filepath.Join(file.directory, "..data")); err != nil {
			t.Fatal(err)
		}
		holds("without the file", "second", "no such file")
		holds("still without the file", "second", "")
		file.change(t, "images: {exclude: [third]}")
		holds("after all that", "third", "rules changed")
		cancel()
	})
}

func TestOpenRules_RefusesInvalidRules(t *testing.T) {
	t.Parallel()
	_, path := mount(t, "\nimages: []")
	for path, want := range map[string]string{path: path + ":2: images is a list", path + ".none": "reading rules"} {
		if _, err := app.OpenRules(path, logr.Discard()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenRules(%s) = %v, want an error with %q", path, err, want)
		}
	}
}

func TestOpenRules_ReturnsDefaultsWithoutAFile(t *testing.T) {
	t.Parallel()
	opened, err := app.OpenRules("", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Start(t.Context()); err != nil {
		t.Errorf("Start = %v", err)
	}
	if diff := cmp.Diff(rules.Default(), opened.Current()); diff != "" {
		t.Errorf("Current (-want +got):\n%s", diff)
	}
}
