package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host"
	hostdisk "kind-local-registry/internal/host/disk"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/inventory"
)

// verifyOptions contains the flags of setup verify.
type verifyOptions struct {
	output *printer
	format *format
	repair bool
}

func newVerifyCommand(output *printer) *cobra.Command {
	options := verifyOptions{output: output}
	command := &cobra.Command{
		Use:   "verify",
		Short: "Compare every blob in the registry with its digest, and repair images from the host",
		Long: `Compare every blob in the registry with its digest, and check whether every image is complete. A damaged blob is removed,
because no client could use it. This reads the whole registry, at about 500 MB per second.

With --repair, images that have lost blobs are pushed again, if the host still has the same build. verify prints each faulty image, and
why it is not repaired. The exit status is 1 if faulty images remain.`,
		Example: `  setup verify
  setup verify --repair
  setup verify -o json | jq -r '.faults[] | select(.repaired | not) | .repository'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{interrupted: "run `setup verify` again; it begins from the start"},
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.format.check(); err != nil {
				return err
			}
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "text", "json")
	command.Flags().BoolVar(&options.repair, "repair", false, "push faulty images again if the host still has them")
	return command
}

// run verifies the registry and prints the outcome.
func (o *verifyOptions) run(ctx context.Context, stdout io.Writer) error {
	system, err := host.Open(ctx, host.Options{})
	if err != nil {
		return err
	}
	progress := newDiskProgress(o.output)
	verified, err := system.Disk().Verify(ctx, o.repair, progress.step)
	progress.end()
	if err != nil {
		return err
	}
	if err := o.print(stdout, verified); err != nil {
		return err
	}
	return hostdisk.Faulty(verified, o.repair)
}

// print prints the outcome in the chosen format.
func (o *verifyOptions) print(w io.Writer, verified disk.Verified) error {
	if o.format.json() {
		return printJSON(w, newVerify(verified))
	}
	if o.output.quiet {
		return nil
	}
	for _, fault := range verified.Faults {
		line := fmt.Sprintf("%s %s  %s", mark(w, fault.Repaired), faultName(fault), problem(fault))
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	broken := len(verified.Broken())
	text := fmt.Sprintf("Verified %s of %s: ", step.Count(verified.Blobs, "blob"), humanSize(verified.Bytes))
	switch {
	case len(verified.Faults) == 0:
		text += "all images are intact."
	case broken == 0:
		text += fmt.Sprintf("%d damaged, and everything repaired.", len(verified.Damaged))
	default:
		text += fmt.Sprintf("%d damaged, %s not repaired.", len(verified.Damaged), step.Count(broken, "fault"))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// faultName names the image or tag of a fault.
func faultName(fault disk.Fault) string {
	name := fault.Repository
	if len(fault.Tags) > 0 {
		name += ":" + strings.Join(fault.Tags, ",")
	}
	if fault.Digest != "" {
		name += "@" + shortID(fault.Digest)
	}
	return name
}

// problem describes a fault, and what has become of it.
func problem(fault disk.Fault) string {
	text := map[inventory.Problem]string{
		inventory.TagLost:      "it is unknown which image the tag refers to",
		inventory.ManifestLost: "the image manifest was lost",
		inventory.BlobsLost:    step.Count(len(fault.Missing), "blob") + " lost",
		inventory.LinkDamaged:  "a small file that refers to the data was damaged",
	}[fault.Problem]
	switch {
	case fault.Repaired:
		text += ", repaired"
	case fault.Detail != "":
		text += ", not repaired: " + fault.Detail
	}
	return text
}
