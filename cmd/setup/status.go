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

// statusOptions contains the flags of setup status.
type statusOptions struct {
	host.Options

	output *printer
	format *format
}

func newStatusCommand(output *printer) *cobra.Command {
	options := statusOptions{output: output}
	command := &cobra.Command{
		Use:   "status",
		Short: "Check every step, and show how to repair what fails",
		Long: `Check every step of setup up, and show how to repair what fails. status changes nothing. Its last check creates a pod as a dry
run, to see whether the webhook rewrites it. The exit status is 1 if any check fails.

setup doctor takes longer, but pulls an image on every node, runs a pod, and names the cause.`,
		Example: `  setup status
  setup status -o json | jq -r '.checks[] | select(.ok | not) | .step'
  setup status -o json | jq -r .cluster.kubernetes`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			options.Select = selection(command, true)
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	options.format = newFormat(command, "a table", "json")
	return command
}

// run checks every step and prints the outcomes to stdout.
func (o *statusOptions) run(ctx context.Context, stdout io.Writer) error {
	if err := o.format.check(); err != nil {
		return err
	}
	system, err := host.Open(ctx, o.Options)
	if err != nil {
		return err
	}
	all := step.CheckAll(ctx, system.Steps(), o.output)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := statusError(all)
	switch {
	case o.format.json():
		err = printJSON(stdout, report.Status{Facts: system.Facts(ctx), OK: failed == nil, Checks: report.Checks(all)})
	case !o.output.quiet:
		err = printStatus(stdout, all)
	}
	return errors.Join(err, failed)
}

// statusError returns the error with which setup status exits. It gives only the number of failed checks; the table names them.
func statusError(all []step.Status) error {
	var failed int
	for _, one := range all {
		if !one.OK {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks failed; run `setup up` to repair", failed, len(all))
}

// printStatus prints the checks as a table.
func printStatus(w io.Writer, all []step.Status) error {
	for _, one := range all {
		if _, err := fmt.Fprintf(w, "%s %-14s %s\n", mark(w, one.OK), one.Step, one.Detail); err != nil {
			return err
		}
		if one.OK || one.Remedy == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "  %-14s -> %s\n", "", one.Remedy); err != nil {
			return err
		}
	}
	return nil
}
