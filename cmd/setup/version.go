package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/report"
)

func newVersionCommand(output *printer) *cobra.Command {
	var chosen *format
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of setup, and what it was built from",
		Long: `Print the version of setup, and what it was built from: the commit, the version of Go and the platform. The commit is unknown
if the build did not record it.`,
		Example: `  setup version
  setup version -o json | jq -r .commit`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := chosen.check(); err != nil {
				return err
			}
			info, _ := debug.ReadBuildInfo() // nil if the build did not record any
			document, stdout := newVersion(info), command.OutOrStdout()
			switch {
			case chosen.json():
				return printJSON(stdout, document)
			case output.quiet:
				return nil
			}
			return printVersion(stdout, document)
		},
	}
	chosen = newFormat(command, "lines", "json")
	return command
}

// newVersion returns the document about this build. info may be nil.
func newVersion(info *debug.BuildInfo) report.Version {
	version := report.Version{Version: config.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			version.Commit = setting.Value
		case "vcs.time":
			version.CommitTime = setting.Value
		case "vcs.modified":
			version.Modified = setting.Value == "true"
		}
	}
	return version
}

// printVersion prints one line for each field.
func printVersion(w io.Writer, version report.Version) error {
	commit := version.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case version.Modified:
		commit += ", modified"
	}
	_, err := fmt.Fprintf(w, "setup     %s\ncommit    %s\nGo        %s\nplatform  %s\n", version.Version, commit, version.Go, version.Platform)
	return err
}
