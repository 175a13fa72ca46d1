package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// upOptions contains the flags of setup up.
type upOptions struct {
	host.Options

	output  *printer
	format  *format
	yes     bool
	restart bool // whether workloads are restarted on a rebuild, if the user gives the flag
}

// restartFlag is the flag of setup up that switches restart on rebuild on or off.
const restartFlag = "restart-on-rebuild"

func newUpCommand(output *printer) *cobra.Command {
	options := upOptions{output: output}
	command := &cobra.Command{
		Use:   "up",
		Short: "Create or repair the registry, cluster, pusher and webhook",
		Long: `Create or repair the registry, cluster, pusher and webhook.

If the kind cluster exists, up adopts it; otherwise, up creates it. You can repeat up at any time: it changes only what fails a check.

If neither --cluster, KIND_CLUSTER_NAME nor the kind configuration names a cluster, up adopts the only cluster that exists. If there
are several, up asks which one to adopt, or fails without a terminal. If there is none, up creates "` + config.Cluster + `".

Before up changes anything that it did not create, such as another tool's kind-registry container or a node's containerd
configuration, it prints what it will change and how that is undone. On a terminal, it asks for confirmation, unless --yes is given.
Without a terminal, it continues, but fails if setup down could not undo the change.`,
		Example: `  setup up
  setup up --cluster dev --config kind.yaml
  setup up --node-image kindest/node:v1.35.0
  setup up --adopt-only --cluster dev          # never create a cluster
  setup up --registry-image registry:2         # instead of the registry that is built into setup
  setup up --link=off                          # nodes pull every layer
  setup up --keep-storage 20GB                 # remove unused images from the registry when it exceeds 20 GB
  setup up --restart-on-rebuild                # workloads that ask for it are restarted on a rebuild
  setup up --rules rules.yaml                  # exclude images, namespaces or pods from rewriting
  setup up -o json | jq -r .registry.host`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations: map[string]string{
			interrupted: "run `setup up` again: it continues where this run stopped, and repairs what is incomplete",
		},
		RunE: func(command *cobra.Command, _ []string) error {
			options.Select = selection(command, false)
			if command.Flags().Changed(restartFlag) {
				options.RestartOnRebuild = &options.restart
			}
			return options.run(command.Context(), command.InOrStdin(), command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	options.format = newFormat(command, "a sentence", "json")
	options.addFlags(command)
	return command
}

// addFlags adds the flags that only setup up has.
func (o *upOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.Lookup("cluster").Usage = "name of the kind cluster (default $KIND_CLUSTER_NAME, the name in --config, or the only cluster)"
	flags.Lookup("kubeconfig").Usage = "kubeconfig file to update (default $KUBECONFIG or ~/.kube/config)"
	flags.StringVar(&o.ConfigFile, "config", "", "kind configuration for a new cluster")
	flags.StringVar(&o.NodeImage, "node-image", "", "node image for a new cluster (default kind's)")
	flags.StringVar(&o.RegistryImage, "registry-image", "",
		"registry image to run, such as registry:2 (default the image of the existing registry, or the one built into setup)")
	flags.StringVar(&o.RulesFile, "rules", "",
		"file with rules that exclude images, namespaces and pods from rewriting; see docs/rules.md (default the rules in force)")
	flags.StringVar(&o.Link, "link", "",
		"auto: nodes get layers as hard links where possible; off: nodes pull every layer (default the current setting, or auto)")
	flags.StringVar(&o.KeepStorage, "keep-storage", "",
		"remove the least recently used of the unused images when the registry exceeds this `SIZE`, such as 20GB; "+
			"off: never (default the current setting, or off)")
	flags.BoolVar(&o.restart, restartFlag, false,
		"restart workloads that ask for it when the host has a newer build of their image; see docs/restart-on-rebuild.md "+
			"(default the current setting, or off)")
	flags.BoolVar(&o.AdoptOnly, "adopt-only", false, "fail if the cluster does not exist")
	flags.BoolVarP(&o.yes, "yes", "y", false, "change what setup did not create without asking")
	complete(command, "link", "auto", "off")
	complete(command, "keep-storage", "off")
	completeFiles(command, "config", "yaml", "yml", "json")
	completeFiles(command, "rules", "yaml", "yml", "json")
	completeImages(command, "node-image")
	completeImages(command, "registry-image")
}

// run applies every step, and prints the outcome to stdout.
func (o *upOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	if err := o.format.check(); err != nil {
		return err
	}
	start := time.Now()
	system, unlock, err := host.OpenToChange(ctx, o.Options, o.output.waiting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := system.Preflight(ctx); err != nil {
		return err
	}
	o.output.Begin("plan")
	foreign, err := system.Foreign(ctx)
	o.output.done()
	if err == nil {
		err = o.consent(ctx, foreign, stdin)
	}
	if err != nil {
		return err
	}
	changed, err := step.Up(ctx, system.Steps(), o.output)
	err = step.OrRemedy(err, "run setup up again to continue with this step, or setup status to check every step")
	if o.format.json() {
		facts := system.Facts(context.WithoutCancel(ctx)) // also after an interruption
		return errors.Join(err, printJSON(stdout, o.document(facts, foreign, changed, time.Since(start), err)))
	}
	if err != nil || o.output.quiet {
		return err
	}
	verdict := "Ready: images of this host's Docker daemon now run in kind cluster %q.\n"
	if !changed {
		verdict = "Nothing to change: kind cluster %q is ready.\n"
	}
	_, err = fmt.Fprintf(stdout, verdict, system.Cluster())
	return err
}

// consent prints what up will change although setup did not create it. It returns an error if the user does not agree, or if there is
// no terminal to ask on and setup down could not undo a change.
func (o *upOptions) consent(ctx context.Context, foreign []step.Change, stdin io.Reader) error {
	if len(foreign) == 0 {
		return nil
	}
	ask := !o.yes && canAnswer(stdin)
	if ask || !o.output.quiet {
		_, _ = fmt.Fprintln(o.output.w, "setup up changes what it did not create:")
		printChanges(o.output.w, foreign)
	}
	if lost := losses(foreign); lost != "" && !o.yes && !ask {
		return fmt.Errorf("this deletes %s, and there is no terminal to ask on: rename or remove it, or confirm with --yes", lost)
	}
	if !ask {
		return nil
	}
	return confirm(ctx, stdin, o.output.w, "Continue?")
}

// document returns the document that describes the run.
func (o *upOptions) document(facts report.Facts, foreign []step.Change, changed bool, took time.Duration, err error) report.Up {
	document := report.Up{
		Facts: facts, Changed: changed, Foreign: report.Changes(foreign), Steps: report.Steps(o.output.results),
		Duration: report.Duration(took),
	}
	if err != nil {
		document.Error = err.Error()
	}
	return document
}
