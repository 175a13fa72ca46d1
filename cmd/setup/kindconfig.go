package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

// kindConfigOptions contains the flags of setup kind-config.
type kindConfigOptions struct {
	file  string
	write bool
}

func newKindConfigCommand() *cobra.Command {
	var options kindConfigOptions
	command := &cobra.Command{
		Use:   "kind-config [-f FILE]",
		Short: "Print a kind configuration with what nodes need to pull from the registry",
		Long: `Print a kind configuration with what nodes need to pull from the registry.

The command is for users, and for programs such as laconic-so, that create clusters with kind create cluster and run setup up afterwards.
It adds up to two patches to the configuration in FILE: containerd reads hosts.toml files, and the kubelet starts on a host with
cgroup v1. Everything else stays, including comments. If FILE contains several documents, only those for kind change. Without -f, the
command starts from kind's default configuration, which has one node.

setup up works without this command, because it configures the nodes of any cluster. With the patches, it need not restart containerd.
A patch with registry.mirrors is rejected, because containerd does not combine it with hosts.toml files.`,
		Example: `  setup kind-config -f kind.yaml | kind create cluster --config -
  setup kind-config -f deployment/kind-config.yml --write
  setup kind-config > kind.yaml`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.InOrStdin(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVarP(&options.file, "filename", "f", "",
		"`FILE` that contains the kind configuration, or - for stdin (default kind's default configuration)")
	flags.BoolVarP(&options.write, "write", "w", false, "write the result to FILE instead of stdout")
	completeFiles(command, "filename", "yaml", "yml", "json")
	return command
}

// run prints or writes the configuration with the patches.
func (o *kindConfigOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	if o.write && (o.file == "" || o.file == "-") {
		return errors.New("--write needs a file: name it with -f, for example setup kind-config -f kind.yaml --write")
	}
	text, err := o.read(stdin)
	if err != nil {
		return err
	}
	merged, err := host.MergeKindConfig(ctx, text)
	if err != nil {
		if o.file != "" {
			err = fmt.Errorf("%s: %w", o.file, err)
		}
		return err
	}
	if !o.write {
		_, err = fmt.Fprint(stdout, merged)
		return err
	}
	if merged == text {
		return nil
	}
	if err := os.WriteFile(o.file, []byte(merged), 0o600); err != nil { // keeps the permissions of an existing file
		return fmt.Errorf("writing the kind configuration: %w", err)
	}
	return nil
}

// read returns the text of the user's kind configuration, or "" if the user names no file.
func (o *kindConfigOptions) read(stdin io.Reader) (string, error) {
	var text []byte
	var err error
	switch o.file {
	case "":
		return "", nil
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(o.file)
	}
	if err != nil {
		return "", fmt.Errorf("reading the kind configuration: %w; name a readable file with -f", err)
	}
	return string(text), nil
}
