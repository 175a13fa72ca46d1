package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/kindcli"
)

func newKindCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kind [ARGUMENT...]",
		Short: "Run kind, but push images instead of loading them, and set up new clusters",
		Long: `Run kind, but push images instead of loading them, and set up new clusters.

The command is for scripts and programs that call kind, such as laconic-so. Install it under the name kind, in a directory that comes
before kind's own on the PATH, as the examples show. Every command is passed on to the next kind on the PATH, with its output and exit
status. If there is none, setup runs the kind that is built into it. Three commands differ:

kind load docker-image and kind load image-archive push the images to the registry. If pods in the cluster would not run a pushed image,
kind loads it: if the cluster is not set up, if a rule excludes the image, or if the push fails.

kind create cluster also runs setup up on the new cluster, without questions. If that fails, a warning says what to run, and the
exit status is kind's.

In namespaces that are excluded from rewriting, pods run only images that kind has loaded. With ` + kindcli.Variable + `=off in the
environment, or with kind's Podman or nerdctl provider, every command is passed on.`,
		Example: `  ln -s "$(command -v setup)" /usr/local/sbin/kind         # kind is now setup kind

  printf '#!/bin/sh\nexec setup kind "$@"\n' > ~/bin/kind  # the same as a script
  chmod +x ~/bin/kind

  setup kind load docker-image example/app:local --name dev
  ` + kindcli.Variable + `=off kind load docker-image example/app:local --name dev`,
		DisableFlagParsing: true, // the flags are kind's
		ValidArgsFunction:  cobra.NoFileCompletions,
		Annotations:        map[string]string{interrupted: "run the same kind command again"},
		RunE: func(command *cobra.Command, args []string) error {
			kind := kindcli.Command{
				Stdin: command.InOrStdin(), Stdout: command.OutOrStdout(), Stderr: command.ErrOrStderr(),
				Push: pushForKind, PushArchives: pushArchivesForKind,
				SetUp: func(ctx context.Context, created kindcli.Cluster) error {
					return setUpForKind(ctx, created, command.ErrOrStderr())
				},
			}
			return kind.Run(command.Context(), args)
		},
	}
}

// arguments returns setup's arguments. If setup runs under the name kind, they are those of setup kind.
func arguments(words []string) []string {
	if strings.TrimSuffix(filepath.Base(words[0]), ".exe") == "kind" {
		return append([]string{"kind"}, words[1:]...)
	}
	return words[1:]
}

// setUpForKind runs setup up on a cluster that kind has created. If that fails, it prints a warning that says what to run.
func setUpForKind(ctx context.Context, created kindcli.Cluster, stderr io.Writer) error {
	output := printer{quiet: created.Quiet}
	err := output.open(stderr)
	if err == nil {
		options := upOptions{
			Options: host.Options{Cluster: created.Name, Kubeconfig: created.Kubeconfig, AdoptOnly: true},
			output:  &output, format: &format{},
		}
		err = options.run(ctx, strings.NewReader(""), stderr) // without a terminal, because callers of kind expect no question
	}
	if err != nil {
		command := "setup up --adopt-only --cluster " + created.Name
		if created.Kubeconfig != "" {
			command += " --kubeconfig " + created.Kubeconfig
		}
		output.printf("WARNING: kind has created cluster %q, but its pods do not run this host's images yet: %v\n", created.Name, err)
		output.printf("When that is repaired, run: %s\n", command)
	}
	return err
}
