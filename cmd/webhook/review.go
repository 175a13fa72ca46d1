package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/app"
	"kind-local-registry/webhook/lookup"
)

// reviewOptions contains the flags of webhook review.
type reviewOptions struct {
	assume       string // file that lists the images to assume, or "all"
	rules        string // file that contains the rules; "" for the default rules
	registryHost string // the registry's host in rewritten images
	pusher       string // host:port of the pusher
	credentials  string // directory that contains the client certificate for the pusher
	quiet        bool   // do not log decisions
}

// newReviewCommand returns the command webhook review.
func newReviewCommand() *cobra.Command {
	options := reviewOptions{registryHost: config.RegistryHost(config.RegistryPort)}
	command := &cobra.Command{
		Use:   "review < REVIEWS",
		Short: "Answer AdmissionReviews from stdin on stdout, like webhook serve",
		Long: `Read AdmissionReviews (admission.k8s.io/v1) from stdin, one JSON document after another, and answer them on stdout with the code of
webhook serve. Decisions are logged to stderr. Nothing is pushed. No cluster is used, so the labels of namespaces are unknown.

Give either --pusher, to look up the images with the pusher, or --assume. --assume all treats every image as present in the
registry. --assume FILE names a YAML or JSON file that lists the images to assume:

  example/app:local: {onHost: true}
  example/db:1: {onHost: true, digest: "sha256:…"}

A document that is not an AdmissionReview is reported on stderr with its line number, and the remaining documents are still
answered. The exit status is 1 if there was such a document.`,
		Example: `  # What would the webhook do with this pod?
  webhook review --assume all < review.json

  # In the cluster, with the host's images
  kubectl exec -i -n kind-local-registry deployment/kind-local-registry -- /webhook review \
    --pusher kind-local-registry-pusher.kind-local-registry.svc:5443 \
    --pusher-credentials /etc/kind-local-registry/pusher < review.json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runReview(command.Context(), options, command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.assume, "assume", "", "assume images instead of asking the pusher: a file that lists them, or all")
	flags.StringVar(&options.rules, "rules", "", "file that contains the rules (default: the default rules)")
	flags.StringVar(&options.registryHost, "registry-host", options.registryHost, "registry's host in rewritten images")
	flags.StringVar(&options.pusher, "pusher", "", "host and port of the pusher, instead of --assume")
	flags.StringVar(&options.credentials, "pusher-credentials", "", "directory that contains ca.crt, tls.crt and tls.key for the pusher")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "do not log decisions")
	return command
}

// looker returns the Looker that the flags select: the pusher's client, or assumed images.
func (o reviewOptions) looker(client *pusher.ReloadingClient) (lookup.Looker, error) {
	switch {
	case (o.assume == "") == (o.pusher == ""):
		return nil, errors.New("give either --assume or --pusher")
	case o.assume == "":
		return client, nil
	case o.assume == "all":
		return everything{}, nil
	}
	document, err := os.ReadFile(o.assume)
	if err != nil {
		return nil, fmt.Errorf("reading the assumed images: %w", err)
	}
	return parseAssumed(o.assume, document)
}

// runReview answers the documents on stdin.
func runReview(ctx context.Context, options reviewOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	client := pusher.NewReloadingClient(options.pusher, options.credentials)
	defer client.Close()
	looker, err := options.looker(client)
	if err != nil {
		return err
	}
	rulesFile, err := app.OpenRules(options.rules, logr.Discard())
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if options.quiet {
		level = slog.LevelError
	}
	log := newLogger(stderr, level)
	handler := &webhook.Handler{
		Decider: &webhook.Decider{RegistryHost: options.registryHost, Looker: looker, Rules: rulesFile.Current},
		Journal: webhook.NewJournal(log),
		Log:     log,
		Metrics: webhook.NewMetrics(),
		Guard:   webhook.NewLoopGuard(),
	}
	faults := 0
	err = answerStream(ctx, handler, stdin, stdout, func(line int, err error) {
		faults++
		_, _ = fmt.Fprintf(stderr, "webhook: line %d: %v\n", line, err)
	})
	if err != nil {
		return err
	}
	if faults > 0 {
		return fmt.Errorf("documents that could not be answered: %d; see the errors above", faults)
	}
	return nil
}
