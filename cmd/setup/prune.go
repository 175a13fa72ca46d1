package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host"
	hostdisk "kind-local-registry/internal/host/disk"
)

// pruneOptions contains the flags of setup prune.
type pruneOptions struct {
	output      *printer
	format      *format
	keepStorage string
	archives    bool
	yes, dryRun bool
}

// pruner removes unused images. hostdisk.Disk implements it; tests replace it.
type pruner interface {
	Prune(ctx context.Context, options disk.Options, progress disk.Progress) (disk.Pruned, error)
}

func newPruneCommand(output *printer) *cobra.Command {
	options := pruneOptions{output: output}
	command := &cobra.Command{
		Use:   "prune",
		Short: "Remove images that nothing uses from the registry and from the nodes",
		Long: `Remove images that nothing uses from the registry and from the nodes. Images on the host are not removed.

An image is used if a tag on the host refers to this build, if a pod in a kind cluster on this host uses it, or if an object that creates
pods names it, such as a Deployment, a CronJob or an old ReplicaSet. An image that setup push --archive has pushed is kept as long as no
other image takes its tag; with --archives, it is removed like any other image. You can run prune at any time, because it keeps what a push
or a pull is using.

prune prints what it would remove, and how much that frees. On a terminal, it then asks for confirmation, unless --yes is given;
elsewhere, it requires --yes.

With --keep-storage, only the least recently used images are removed, and only as many as necessary. The nodes then keep the images that
the registry keeps. setup up --keep-storage applies such a limit all the time.

If the pods of a cluster that uses the registry are unknown, for example because the cluster is stopped, nothing is removed from the
registry, and the exit status is 1. A registry that setup adopted, or that runs another image, is never pruned, but the nodes are.`,
		Example: `  setup prune
  setup prune --dry-run
  setup prune --keep-storage 20GB --yes
  setup prune --archives
  setup prune --dry-run -o json | jq .plan.registryBytes`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{interrupted: "run `setup prune` again to remove the rest"},
		RunE: func(command *cobra.Command, _ []string) error {
			given, err := options.check(command.InOrStdin())
			if err != nil {
				return err
			}
			system, err := host.Open(command.Context(), host.Options{})
			if err != nil {
				return err
			}
			return options.run(command.Context(), system.Disk(), given, command.InOrStdin(), command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "text", "json")
	flags := command.Flags()
	flags.StringVar(&options.keepStorage, "keep-storage", "",
		"remove only as much as necessary to keep the registry below this `SIZE`, such as 20GB")
	complete(command, "keep-storage")
	flags.BoolVar(&options.archives, "archives", false, "also remove images from archives that no pod uses")
	flags.BoolVarP(&options.yes, "yes", "y", false, "remove the images without asking")
	flags.BoolVar(&options.dryRun, "dry-run", false, "print what would be removed, and remove nothing")
	return command
}

// check returns the options for the pruner, or an error if the flags are invalid. It sends no request to Docker.
func (o *pruneOptions) check(stdin io.Reader) (disk.Options, error) {
	given := disk.Options{Archives: o.archives}
	if err := o.format.check(); err != nil {
		return given, err
	}
	if o.keepStorage != "" {
		keep, err := disk.ParseSize(o.keepStorage)
		if err != nil {
			return given, fmt.Errorf("--keep-storage: %w", err)
		}
		given.Keep = &keep
	}
	if !o.yes && !o.dryRun && !canAnswer(stdin) {
		return given, errors.New("there is no terminal to ask on: confirm with --yes, or see what would be removed with --dry-run")
	}
	return given, nil
}

// run prints the plan, asks for confirmation unless --yes is set, and removes what the plan contains.
func (o *pruneOptions) run(ctx context.Context, by pruner, given disk.Options, stdin io.Reader, stdout io.Writer) error {
	progress := newDiskProgress(o.output)
	given.DryRun = true
	planned, err := by.Prune(ctx, given, progress.step)
	progress.end()
	if err != nil {
		return err
	}
	blocked := hostdisk.Blocked(planned.Plan)
	if o.dryRun || planned.Plan.Empty() {
		return errors.Join(o.end(stdout, planned, blocked), blocked)
	}
	if err := o.consent(ctx, planned.Plan, stdin); err != nil {
		return errors.Join(err, blocked)
	}
	given.DryRun, given.Only = false, &planned.Plan
	progress = newDiskProgress(o.output)
	pruned, err := by.Prune(ctx, given, progress.step)
	progress.end()
	if err != nil {
		pruned.Plan = planned.Plan // the pusher may have failed before it made its plan
	}
	failed := errors.Join(err, blocked)
	return errors.Join(o.end(stdout, pruned, failed), failed)
}

// consent prints the plan. It returns an error if the user does not agree.
func (o *pruneOptions) consent(ctx context.Context, plan disk.Plan, stdin io.Reader) error {
	if !o.yes || !o.output.quiet {
		if err := printPlan(o.output.w, plan, false); err != nil {
			return err
		}
	}
	if o.yes {
		return nil
	}
	return confirm(ctx, stdin, o.output.w, "Remove them?")
}

// end prints the outcome, which is the plan if nothing was to be removed. failed is the error with which setup prune will exit.
func (o *pruneOptions) end(stdout io.Writer, pruned disk.Pruned, failed error) error {
	switch {
	case o.format.json():
		return printJSON(stdout, newPrune(pruned, o.dryRun, failed))
	case o.output.quiet:
		return nil
	case o.dryRun, pruned.Plan.Empty():
		return printPlan(stdout, pruned.Plan, o.dryRun)
	case failed != nil && pruned.Removed == nil && len(pruned.NodeImages) == 0:
		return nil // the error says all that is known
	}
	return printPruned(stdout, pruned)
}
