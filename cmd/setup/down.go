package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/webhook/uninstall"
)

// downOptions contains the flags of setup down.
type downOptions struct {
	host.Options
	host.DownOptions

	output      *printer
	format      *format
	yes, dryRun bool
}

func newDownCommand(output *printer) *cobra.Command {
	options := downOptions{output: output}
	command := &cobra.Command{
		Use:   "down",
		Short: "Remove everything that up created, except the registry and its images",
		Long: `Remove everything that up created, except the registry and its images.

down first prints what it will delete, restore and keep. If up created the cluster, down deletes it. If up adopted the cluster, down
keeps it, removes only our components from it, and restores what up replaced. The registry and its images are kept for the next up,
unless --registry is given.

Before down deletes a cluster or the registry's images, it asks for confirmation. If there is no terminal to ask on, it fails before
it changes anything, unless --yes is given. To keep the cluster, give --keep-cluster instead.

If neither --cluster nor KIND_CLUSTER_NAME names a cluster, down takes the only one that exists, or else the only one that uses the
registry. If several use it, down fails and lists them.`,
		Example: `  setup down
  setup down --dry-run                  # only print what would be removed
  setup down --cluster dev --yes        # do not ask
  setup down --keep-cluster             # remove our components, but not the cluster
  setup down --registry                 # also the registry and its images
  setup down --dry-run -o json | jq -r '.plan[] | select(.loss) | .name'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations: map[string]string{
			interrupted: "run `setup down` again to remove the rest, or `setup up` to repair what is left",
		},
		RunE: func(command *cobra.Command, _ []string) error {
			options.Select = &host.Selection{PreferUser: true} // never asks, because a wrong answer deletes a cluster
			return options.run(command.Context(), command.InOrStdin(), command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	options.format = newFormat(command, "sentences", "json")
	flags := command.Flags()
	flags.BoolVar(&options.Registry, "registry", false, "also remove the registry and its images")
	flags.BoolVar(&options.KeepCluster, "keep-cluster", false,
		"keep the cluster even if up created it, and remove only our components from it")
	flags.BoolVar(&options.dryRun, "dry-run", false, "print what would be removed, and change nothing")
	flags.BoolVarP(&options.yes, "yes", "y", false, "delete the cluster and the images without asking")
	return command
}

// check returns an error if the flags are invalid, before any request to Docker.
func (o *downOptions) check(stdin io.Reader) error {
	if o.Registry && !o.yes && !o.dryRun && !canAnswer(stdin) {
		return errors.New("--registry removes every image in the registry, and there is no terminal to ask on: confirm with --yes")
	}
	return o.format.check()
}

// run undoes the steps of setup up.
func (o *downOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	if err := o.check(stdin); err != nil {
		return err
	}
	o.Ungate = ungate
	system, unlock, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	start := time.Now()
	o.output.Begin("plan")
	steps, plan, err := system.PlanDown(ctx, o.DownOptions)
	o.output.done()
	if err != nil {
		return err
	}
	if err := o.consent(ctx, plan, stdin, stdout); err != nil {
		return err
	}
	if !o.dryRun {
		err = step.OrRemedy(step.Down(ctx, steps, o.output), "run setup down again to remove the rest")
	}
	if o.format.json() {
		facts := system.Facts(context.WithoutCancel(ctx)) // also after an interruption
		return errors.Join(err, printJSON(stdout, o.document(facts, plan, time.Since(start), err)))
	}
	if err != nil || o.dryRun || o.output.quiet {
		return err
	}
	_, err = fmt.Fprintln(stdout, o.verdict(plan))
	return err
}

// open opens the system. It waits for other setups only if it is going to change anything.
func (o *downOptions) open(ctx context.Context) (system *host.System, unlock func() error, err error) {
	if o.dryRun {
		system, err = host.Open(ctx, o.Options)
		return system, func() error { return nil }, err
	}
	return host.OpenToChange(ctx, o.Options, o.output.waiting)
}

// consent prints the plan. It returns an error if the plan must be confirmed and is not.
func (o *downOptions) consent(ctx context.Context, plan []step.Change, stdin io.Reader, stdout io.Writer) error {
	lost := losses(plan)
	ask := lost != "" && !o.yes && !o.dryRun
	switch {
	case o.dryRun && !o.format.json() && !o.output.quiet: // the plan is the result
		o.printPlan(stdout, plan)
	case ask && canAnswer(stdin), !o.dryRun && !o.output.quiet:
		o.printPlan(o.output.w, plan)
	}
	if !ask {
		return nil
	}
	if !canAnswer(stdin) {
		return fmt.Errorf("this deletes %s, and there is no terminal to ask on: confirm with --yes%s", lost, o.alternative(plan))
	}
	return confirm(ctx, stdin, o.output.w, "This deletes "+lost+". Continue?")
}

// alternative names the flag that keeps the cluster, if the plan deletes a cluster.
func (o *downOptions) alternative(plan []step.Change) string {
	for _, c := range plan {
		if c.Kind == step.Cluster && c.Loss {
			return ", or keep the cluster with --keep-cluster"
		}
	}
	return ""
}

func (o *downOptions) printPlan(w io.Writer, plan []step.Change) {
	if len(plan) == 0 {
		_, _ = fmt.Fprintln(w, nothingToRemove)
		return
	}
	verb := "will"
	if o.dryRun {
		verb = "would"
	}
	_, _ = fmt.Fprintf(w, "setup down %s:\n", verb)
	printChanges(w, plan)
}

// nothingToRemove is printed if setup down finds nothing that up created, except what is kept.
const nothingToRemove = "Nothing to remove."

// verdict returns the line that is printed after everything is removed.
func (o *downOptions) verdict(plan []step.Change) string {
	var removed, images bool
	for _, c := range plan {
		removed = removed || c.Action != step.Keep
		images = images || c.Action == step.Keep && c.Kind == step.Volume
	}
	switch {
	case !removed:
		return nothingToRemove
	case o.Registry:
		return "Removed, with the registry and its images."
	case images:
		return "Removed. The registry and its images are kept; setup down --registry removes them too."
	}
	return "Removed."
}

// document returns the document that describes the run.
func (o *downOptions) document(facts report.Facts, plan []step.Change, took time.Duration, err error) report.Down {
	document := report.Down{
		Facts: facts, DryRun: o.dryRun, Plan: report.Changes(plan),
		Steps: report.Steps(o.output.results), Duration: report.Duration(took),
	}
	if err != nil {
		document.Error = err.Error()
	}
	return document
}

// ungate uninstalls the webhook and ungates the pods that are still waiting for an image.
func ungate(ctx context.Context, access *rest.Config, registryHost string) error {
	cluster, err := client.New(access, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	_, err = uninstall.Run(ctx, cluster, registryHost)
	return err
}
