package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// doctorOptions contains the flags of setup doctor.
type doctorOptions struct {
	host.Options

	output *printer
	format *format
	fix    bool
}

func newDoctorCommand(output *printer) *cobra.Command {
	options := doctorOptions{output: output}
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find the broken link between the host's images and pods",
		Long: `Find the broken link between the host's images and pods.

doctor is more thorough than status. It examines Docker, the registry, the pusher, the linker, the cluster, every node, the webhook and
the clocks. It pushes a small image that it makes, pulls it on every node, and runs a pod in a new namespace, which it deletes again.
For each broken link it prints what it found, why that matters, and what mends it. It does not check what depends on a broken link.

--fix mends what can be mended safely: it changes only what setup created. It restarts and recreates setup's containers, renews
certificates, and writes setup's files and objects again. It then examines everything again.

The exit status is 0 if no link is broken, and 1 otherwise.`,
		Example: `  setup doctor
  setup doctor --fix
  setup doctor -o json | jq -r '.findings[] | select(.outcome == "broken") | .check'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations: map[string]string{
			interrupted: "run `setup doctor` again; without --fix, nothing was changed",
		},
		RunE: func(command *cobra.Command, _ []string) error {
			options.Select = selection(command, true)
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	options.format = newFormat(command, "a table", "json")
	command.Flags().BoolVar(&options.fix, "fix", false, "mend what can be mended safely")
	return command
}

// run examines the chain, mends it if the user wants that, and prints the findings to stdout.
func (o *doctorOptions) run(ctx context.Context, stdout io.Writer) error {
	if err := o.format.check(); err != nil {
		return err
	}
	var found report.Doctor
	var err error
	if o.fix {
		found, err = host.Mend(ctx, o.Options, o.output, o.output.waiting)
	} else {
		found, err = host.Diagnose(ctx, o.Options, o.output.Begin)
	}
	o.output.done()
	if err != nil {
		return err
	}
	failed := findingsError(&found)
	switch {
	case o.format.json():
		err = printJSON(stdout, found)
	case !o.output.quiet:
		err = printReport(stdout, &found)
	}
	return errors.Join(err, failed)
}

// findingsError returns the error with which setup doctor exits, or nil if no link is broken.
func findingsError(found *report.Doctor) error {
	broken := found.Broken()
	if len(broken) == 0 {
		return nil
	}
	err := fmt.Errorf("%s broken; see docs/troubleshooting.md", step.Count(len(broken), "link"))
	for _, finding := range broken {
		if finding.Fixable && len(found.Repairs) == 0 {
			return step.Remedy(err, "setup doctor --fix mends what can be mended safely")
		}
	}
	return err
}

// printReport prints the repairs, and a line for each check. Below a broken link, it prints why the link matters and what mends it.
func printReport(w io.Writer, found *report.Doctor) error {
	var failed error
	printf := func(format string, args ...any) {
		if _, err := fmt.Fprintf(w, format, args...); failed == nil {
			failed = err
		}
	}
	for _, repair := range found.Repairs {
		if repair.Error != "" {
			printf("%s not mended: %s: %s\n", mark(w, false), repair.Check, repair.Error)
			continue
		}
		printf("%s mended: %s: %s\n", mark(w, true), repair.Check, repair.Found)
	}
	for _, finding := range found.Findings {
		switch finding.Outcome {
		case report.NotChecked:
			printf("- %-22s not checked, because of: %s\n", finding.Check, finding.Because)
		case report.Healthy:
			printf("%s %-22s %s\n", mark(w, true), finding.Check, finding.Found)
		case report.Broken:
			printf("%s %-22s %s\n", mark(w, false), finding.Check, finding.Found)
			printf("  %-22s    %s\n", "", finding.Why)
			printf("  %-22s -> %s\n", "", finding.Remedy)
		}
	}
	return failed
}
