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
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/app"
	"kind-local-registry/webhook/lookup"
)

// reviewOptions are the flags of webhook review.
type reviewOptions struct {
	assume       string // what is held: a file, or "all"
	rules        string // file with the rules; "" for the defaults
	registryHost string // what stands for the registry in references
	pusher       remotePusher
	quiet        bool // no line a decision
}

// newReviewCommand returns the command webhook review.
func newReviewCommand() *cobra.Command {
	options := reviewOptions{registryHost: config.RegistryHost(config.RegistryPort)}
	command := &cobra.Command{
		Use:   "review < REVIEWS",
		Short: "Answer AdmissionReviews from stdin on stdout, as the server would",
		Long: `Answer AdmissionReviews (admission.k8s.io/v1) from stdin on stdout, one JSON document after another, by the code that the
server runs. The decisions are logged on stderr. Nothing is pushed, and no cluster is asked: the labels of namespaces
count for nothing here.

What the host and the registry hold is asked of the pusher, or assumed: --assume all has every image in the registry;
--assume FILE has what a file says, YAML or JSON, by image:

  example/app:local: {onHost: true}
  example/db:1: {onHost: true, digest: "sha256:…"}

A document that is no AdmissionReview is told on stderr, with its line, and the next one is answered; the exit status is
then 1.`,
		Example: `  # What becomes of this pod?
  webhook review --assume all < review.json

  # In the cluster, with what the host really has
  kubectl exec -i -n kind-local-registry deployment/kind-local-registry -- /webhook review \
    --pusher kind-local-registry-pusher.kind-local-registry.svc:5443 \
    --pusher-credentials /etc/kind-local-registry/pusher < review.json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runReview(command.Context(), &options, command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.assume, "assume", "", "what the host and the registry hold: a file, or all")
	flags.StringVar(&options.rules, "rules", "", "file with the rules (default: the default rules)")
	flags.StringVar(&options.registryHost, "registry-host", options.registryHost, "host that stands for the registry in references")
	flags.StringVar(&options.pusher.address, "pusher", "", "host and port of the pusher, instead of --assume")
	flags.StringVar(&options.pusher.directory, "pusher-credentials", "", "directory with ca.crt, tls.crt and tls.key for the pusher")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "log no decisions")
	return command
}

// looker returns what is asked what is held.
func (o *reviewOptions) looker() (lookup.Looker, error) {
	switch {
	case (o.assume == "") == (o.pusher.address == ""):
		return nil, errors.New("give either --assume or --pusher")
	case o.assume == "":
		return &o.pusher, nil
	case o.assume == "all":
		return everything{}, nil
	}
	document, err := os.ReadFile(o.assume)
	if err != nil {
		return nil, fmt.Errorf("reading what is assumed: %w", err)
	}
	return parseAssumed(o.assume, document)
}

// runReview answers what stdin has.
func runReview(ctx context.Context, options *reviewOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	looker, err := options.looker()
	if err != nil {
		return err
	}
	defer options.pusher.Close()
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
		return fmt.Errorf("documents that were not answered: %d; see above", faults)
	}
	return nil
}
