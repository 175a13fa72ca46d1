package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

// completeTimeout limits how long a completion may take. A shell waits for it without a sign.
const completeTimeout = 2 * time.Second

// complete makes the shell complete the flag with the values.
func complete(command *cobra.Command, flag string, values ...string) {
	must(command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeFiles makes the shell complete the flag with files that have one of the extensions.
func completeFiles(command *cobra.Command, flag string, extensions ...string) {
	must(command.MarkFlagFilename(flag, extensions...))
}

// completeClusters makes the shell complete the flag with the names of the kind clusters.
func completeClusters(command *cobra.Command, flag string) {
	must(command.RegisterFlagCompletionFunc(flag, fromDocker(func(ctx context.Context, system *host.System) ([]string, error) {
		return system.Clusters(ctx)
	})))
}

// completeImages makes the shell complete the flag with the names of Docker's images.
func completeImages(command *cobra.Command, flag string) {
	must(command.RegisterFlagCompletionFunc(flag, fromDocker(func(ctx context.Context, system *host.System) ([]string, error) {
		return system.Tags(ctx)
	})))
}

// localImages completes arguments with the names of Docker's images that a pod might use.
func localImages() cobra.CompletionFunc {
	return fromDocker(func(ctx context.Context, system *host.System) ([]string, error) { return system.LocalImages(ctx) })
}

// fromDocker returns a completion with what list returns. It completes nothing if Docker does not answer, because a shell cannot show
// an error.
func fromDocker(list func(context.Context, *host.System) ([]string, error)) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(command.Context(), completeTimeout)
		defer cancel()
		system, err := host.Open(ctx, host.Options{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError | cobra.ShellCompDirectiveNoFileComp
		}
		values, err := list(ctx, system)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError | cobra.ShellCompDirectiveNoFileComp
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// must panics if a flag does not exist, which is a mistake in this program.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
