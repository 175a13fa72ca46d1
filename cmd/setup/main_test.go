package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/cli.md")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"setup": main, "kind": main}) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// TestReference_MatchesHelp checks that docs/cli.md contains the current output of --help.
func TestReference_MatchesHelp(t *testing.T) {
	t.Parallel()
	const path = "../../docs/cli.md"
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from --help; run make generate:\n%s", path, diff)
	}
}

// reference returns the text of docs/cli.md, which contains the help of every command.
func reference(t *testing.T) []byte {
	t.Helper()
	var page bytes.Buffer
	page.WriteString("# setup\n\nThis page contains the output of `setup help` and of `setup help COMMAND` for every command. `make generate` writes it.\n")
	for _, command := range append([]*cobra.Command{newCommand()}, newCommand().Commands()...) {
		args := append([]string{"help"}, strings.Fields(command.CommandPath())[1:]...) // kind --help would print kind's help
		var help bytes.Buffer
		if err := run(t.Context(), args, &help, &help); err != nil {
			t.Fatalf("setup %s: %v", strings.Join(args, " "), err)
		}
		fmt.Fprintf(&page, "\n## %s\n\n```text\n%s```\n", command.CommandPath(), help.String())
	}
	return page.Bytes()
}

var setupCall = regexp.MustCompile(`(?m)^ *(?:\$ )?(?:bin/)?setup +([^#\n|]*)`)

// TestDocumentation_ShowsValidCommands checks that every setup command in the README and the documentation is valid.
func TestDocumentation_ShowsValidCommands(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"../../README.md", "../../docs/operations.md", "../../docs/reasons.md", "../../docs/debugging.md", "../../docs/rules.md",
		"../../docs/stack-orchestrator.md",
	} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range setupCall.FindAllSubmatch(page, -1) {
			args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(string(call[1])))
			command, rest, err := newCommand().Find(args)
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err != nil && len(args) > 0 {
				t.Errorf("%s shows setup %s: %v", path, call[1], err)
			}
		}
	}
}
