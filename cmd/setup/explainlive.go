package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/explain"
	"kind-local-registry/webhook/livepod"
)

// split separates the arguments that name objects in the cluster from those that name images. An argument that is the path of a file
// names no object, unless a namespace is given.
func (o *explainOptions) split(arguments []string) (targets []livepod.Target, images []string) {
	for _, argument := range arguments {
		target, ok := livepod.Parse(argument)
		if !ok || o.namespace == "" && isObjectFile(argument) {
			images = append(images, argument)
			continue
		}
		targets = append(targets, target)
	}
	return targets, images
}

// isObjectFile reports whether an argument that has the form KIND/NAME is the path of a file.
func isObjectFile(argument string) bool {
	if _, ok := livepod.Parse(argument); !ok {
		return false
	}
	info, err := os.Stat(argument)
	return err == nil && !info.IsDir()
}

// checkLive returns an error if the arguments do not fit those that name objects.
func (o *explainOptions) checkLive(targets []livepod.Target, images []string) error {
	switch {
	case len(images) > 0:
		return fmt.Errorf("%s is an object in the cluster, and %s is an image or a file: explain them separately", targets[0], images[0])
	case len(o.files) > 0:
		return fmt.Errorf("%s is an object in the cluster, and -f names manifests: explain them separately", targets[0])
	case o.apply:
		return fmt.Errorf("--apply prints manifests, and %s is an object in the cluster: leave one of them out", targets[0])
	}
	return nil
}

// runLive explains the pods of the targets. It prints what it learned even if it could not learn everything.
func (o *explainOptions) runLive(ctx context.Context, targets []livepod.Target, stdout io.Writer) error {
	given, err := o.assumptions()
	if err != nil {
		return err
	}
	system, err := host.Open(ctx, host.Options{Cluster: o.cluster, Select: o.choice})
	if err != nil {
		return err
	}
	o.namespace = cmp.Or(o.namespace, system.Namespace())
	o.output.Begin("pods")
	start := time.Now()
	document, empty, err := hostExplainer{system}.explainLive(ctx, o.namespace, targets, given)
	o.output.Checked(step.Status{Step: "pods", Duration: time.Since(start)})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(document.Pods)+len(empty) == 0 && err != nil {
		return err
	}
	return errors.Join(o.printLive(stdout, document, empty), err)
}

// explainLive explains the pods of the targets. It also returns the targets that have no pods. The error tells what could not be
// learned.
func (e hostExplainer) explainLive(
	ctx context.Context, namespace string, targets []livepod.Target, given assumptions,
) (document report.ExplainedObjects, empty []livepod.Target, err error) {
	access, err := e.ConnectCluster(ctx)
	if err != nil {
		return document, nil, err
	}
	in, err := livepod.NewCluster(access)
	if err != nil {
		return document, nil, err
	}
	explaining := livepod.Explainer{
		Cluster: in, RegistryHost: e.RegistryHost(),
		Decisions: explain.Explainer{RegistryHost: e.RegistryHost(), ClusterLabels: e.NamespaceLabels},
	}
	inForce, unknown := e.inForce(given)
	if unknown == nil {
		client, err := e.ConnectPusher(ctx)
		if unknown = err; err == nil {
			defer client.Close()
			explaining.Decisions.Rules, explaining.Pusher = inForce, client
		}
	}
	explained, err := explaining.Explain(ctx, namespace, targets)
	if errors.Is(err, livepod.ErrNotInstalled) {
		err = step.Remedy(fmt.Errorf("%w in kind cluster %s, so no pod is rewritten", err, e.Cluster()), "run setup up --cluster "+e.Cluster())
	}
	document = newExplainedObjects(e.Cluster(), explained)
	if unknown != nil {
		document.Unknown = unknown.Error()
		unknown = fmt.Errorf("nothing is known about the host's images: %w", unknown)
	}
	return document, explained.Empty, errors.Join(err, unknown)
}

// inForce returns the rules to decide by.
func (e hostExplainer) inForce(given assumptions) (rules.Rules, error) {
	if given.rules != nil {
		return *given.rules, nil
	}
	return e.Rules()
}
