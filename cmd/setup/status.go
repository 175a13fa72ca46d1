package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kind-local-registry/internal/host/step"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

// errNotRight ends status where a piece is not as it should be; the table has said which.
var errNotRight = errors.New("not everything is right: setup up repairs it")

func newStatusCommand() *cobra.Command {
	var options host.Options
	var format string
	command := &cobra.Command{
		Use:   "status",
		Short: "Show each piece, its state, and what to do about one that is not right",
		Long:  "Show each piece, its state, and what to do about one that is not right. The exit status is 1 if any is not.",
		Example: `  setup status
  setup status -o json | jq -r '.[] | select(.ok | not) | .step'`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if format != "" && format != "json" {
				return fmt.Errorf("--output %q is unknown: use json, or leave it out for a table", format)
			}
			system, err := host.Open(command.Context(), options)
			if err != nil {
				return err
			}
			pieces := step.CheckAll(command.Context(), system.Steps())
			if err := printStatus(command.OutOrStdout(), pieces, format); err != nil {
				return err
			}
			for _, piece := range pieces {
				if !piece.OK {
					return errNotRight
				}
			}
			return nil
		},
	}
	addClusterFlags(command, &options)
	command.Flags().StringVarP(&format, "output", "o", "", "json, or nothing for a table")
	return command
}

func printStatus(w io.Writer, pieces []step.Status, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(pieces)
	}
	for _, piece := range pieces {
		if _, err := fmt.Fprintf(w, "%s %-14s %s\n", mark(w, piece.OK), piece.Step, piece.Detail); err != nil {
			return err
		}
		if piece.OK || piece.Remedy == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "  %-14s -> %s\n", "", piece.Remedy); err != nil {
			return err
		}
	}
	return nil
}
