package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
)

func newStatusCommand() *cobra.Command {
	var options host.Options
	var format string
	command := &cobra.Command{
		Use:   "status",
		Short: "Check every step, and show how to repair what fails",
		Long:  "Check every step, and show how to repair what fails. The exit status is 1 if any check fails.",
		Example: `  setup status
  setup status -o json | jq -r '.[] | select(.ok | not) | .step'`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if format != "" && format != "json" {
				return fmt.Errorf("--output %q is unknown: use json, or leave --output out for a table", format)
			}
			options.Select = selection(command, true)
			system, err := host.Open(command.Context(), options)
			if err != nil {
				return err
			}
			all := step.CheckAll(command.Context(), system.Steps())
			if err := printStatus(command.OutOrStdout(), all, format); err != nil {
				return err
			}
			return statusError(all)
		},
	}
	addClusterFlags(command, &options)
	command.Flags().StringVarP(&format, "output", "o", "", "output format: json (default a table)")
	return command
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

// printStatus prints the checks in the format: json, or "" for a table.
func printStatus(w io.Writer, all []step.Status, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
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
