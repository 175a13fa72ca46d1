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

// reviewOptions are the flags of webhook review.
type reviewOptions struct {
	assume       string // the images: a file, or "all"
	rules        string // file with the rules; "" for the defaults
	registryHost string // the registry's host in rewritten images
	pusher       string // host:port of the pusher
	credentials  string // directory with the client certificate for the pusher
	quiet        bool   // log no decisions
}

// newReviewCommand returns the command webhook review.
func newReviewCommand() *cobra.Command {
	options := reviewOptions{registryHost: config.RegistryHost(config.RegistryPort)}
	command := &cobra.Command{
		Use:   "review < REVIEWS",
		Short: "Answer AdmissionReviews from stdin on stdout as the server would",
		Long: `Answer AdmissionReviews (admission.k8s.io/v1) from stdin on stdout, one JSON document after another, with the server's code. The
decisions are logged on stderr. Nothing is pushed and no cluster is used, so the labels of namespaces are unknown.

The pusher looks the images up, or they are assumed: with --assume all, every image is in the registry; --assume FILE names a YAML or
JSON file that lists images:

  example/app:local: {onHost: true}
  example/db:1: {onHost: true, digest: "sha256:…"}

A document that is not an AdmissionReview is reported on stderr with its line, and the next one is answered. The exit status is
then 1.`,
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
	flags.StringVar(&options.assume, "assume", "", "images on the host and in the registry: a file, or all")
	flags.StringVar(&options.rules, "rules", "", "file with the rules (default: the default rules)")
	flags.StringVar(&options.registryHost, "registry-host", options.registryHost, "registry's host in rewritten images")
	flags.StringVar(&options.pusher, "pusher", "", "host and port of the pusher, instead of --assume")
	flags.StringVar(&options.credentials, "pusher-credentials", "", "directory with ca.crt, tls.crt and tls.key for the pusher")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "log no decisions")
	return command
}

// looker returns the Looker that the flags name, which may be the client of the pusher.
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
		return fmt.Errorf("documents without an answer: %d; see above", faults)
	}
	return nil
}
