package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/images"
)

// pushOptions contains the flags of setup push.
type pushOptions struct {
	output   *printer
	allLocal bool
	archive  archiveFlags
	format   *format
}

func newPushCommand(output *printer) *cobra.Command {
	options := pushOptions{output: output}
	command := &cobra.Command{
		Use:   "push IMAGE... | --all-local | --archive FILE",
		Short: "Push images from the Docker daemon, or from an archive, to the registry before a pod needs them",
		Long: `Push images from the Docker daemon, or from an archive, to the registry before a pod needs them.

Images are pushed automatically when a pod is created. To push images in advance, for example in CI, run setup push IMAGE instead of
kind load docker-image. A pod whose image is in the registry starts without waiting. Only layers that the registry lacks are copied.
The exit status is 1 if any push fails.

If nodes get layers as hard links, the line about an image also shows how many nodes already have its layers; the other nodes get
them when they pull the image. With -v, there is a line for each node.

--archive pushes the images of a file, or of stdin if the file is -, and Docker need not have them. The file is a tar, plain or compressed
with gzip or zstd, that docker save, podman save, docker buildx, skopeo, ko, Bazel or Nix has written. Of an image for several platforms,
the one for the nodes is pushed. Pods run the images under their names in the archive as long as Docker has no image with that name. --tag
gives a name to an image that has none, or another one. An archive that is damaged or incomplete is refused, and leaves nothing in the
registry. setup prune keeps images from archives, unless its flag --archives is set.`,
		Example: `  setup push example/app:local
  setup push example/app:local example/worker:local   # both concurrently
  setup push --all-local                              # every image that has a tag
  setup push -o json example/app:local | jq -r '.[].rewritten'
  setup push --archive app.tar.gz
  ko build --push=false --tarball app.tar ./cmd/app && setup push --archive app.tar --tag example/app:v1
  docker buildx build --output type=oci . | setup push --archive - --tag example/app:v1`,
		ValidArgsFunction: localImages(),
		Annotations:       map[string]string{interrupted: "run `setup push` again: it copies only what is missing"},
		RunE: func(command *cobra.Command, images []string) error {
			if err := options.check(images); err != nil {
				return err
			}
			if options.archive.file != "" {
				return options.pushArchive(command.Context(), command.InOrStdin(), command.OutOrStdout())
			}
			return options.run(command.Context(), images, command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "one line per image", "json")
	flags := command.Flags()
	flags.BoolVar(&options.allLocal, "all-local", false, "push every tagged image, except node images and setup's own images")
	flags.StringVar(&options.archive.file, "archive", "", "push the images of this archive `FILE`; - is stdin")
	flags.StringVar(&options.archive.tag, "tag", "", "`NAME` for the archive's only image")
	return command
}

// check returns an error if the arguments are invalid. It sends no request to Docker.
func (o *pushOptions) check(references []string) error {
	if err := o.format.check(); err != nil {
		return err
	}
	if err := o.archive.check(o.allLocal, references); err != nil {
		return err
	}
	switch {
	case o.archive.file != "":
		return nil
	case o.allLocal && len(references) > 0:
		return fmt.Errorf("--all-local pushes every image, and %s is given too: leave one of them out", references[0])
	case !o.allLocal && len(references) == 0:
		return errors.New("no image is given: give one or more, for example setup push example/app:local, or use --all-local or --archive")
	}
	return images.Check(references)
}

// run pushes the images and prints the outcomes to stdout.
func (o *pushOptions) run(ctx context.Context, references []string, stdout io.Writer) error {
	system, err := host.Open(ctx, host.Options{})
	if err != nil {
		return err
	}
	if o.allLocal {
		if references, err = system.LocalImages(ctx); err != nil {
			return err
		}
		if !o.output.quiet {
			o.output.printf("Found %d tagged images.\n", len(references))
		}
	}
	results := &pushResults{w: stdout, format: o.format.value, quiet: o.output.quiet, skips: o.allLocal, images: references}
	view := newPushView(o.output, results)
	pushed, err := system.Push(ctx, references, view)
	view.close()
	if err != nil {
		return err
	}
	if err := results.end(pushed); err != nil {
		return err
	}
	return o.verdict(pushed)
}

// verdict returns the error with which setup push exits if it could not push every image. The error gives the causes only if
// --quiet is set; otherwise, the printed lines give them.
func (o *pushOptions) verdict(pushed []images.Pushed) error {
	var cancelled, failed, sentences []string
	for _, p := range pushed {
		switch {
		case p.Err == nil, o.allLocal && p.Reason() != "":
		case errors.Is(p.Err, images.ErrCancelled):
			cancelled = append(cancelled, p.Image)
		default:
			failed = append(failed, p.Image)
			sentences = append(sentences, p.Image+": "+p.Err.Error())
		}
	}
	switch {
	case len(cancelled) > 0:
		return fmt.Errorf("interrupted: pushing %s was cancelled; the registry shows no incomplete image, "+
			"and the next push copies only what is missing", strings.Join(cancelled, ", "))
	case len(failed) == 0:
		return nil
	case o.output.quiet:
		return errors.New(strings.Join(sentences, "\n"))
	case len(pushed) == 1:
		return fmt.Errorf("%s is not in the registry", failed[0])
	}
	return fmt.Errorf("%d of %d images are not in the registry", len(failed), len(pushed))
}
