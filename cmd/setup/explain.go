package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/podmanifest"
	"kind-local-registry/webhook/livepod"
)

// explainOptions contains the flags of setup explain.
type explainOptions struct {
	output    *printer
	files     []string
	format    *format
	apply     bool
	rules     string
	cluster   string
	namespace string
	choice    *host.Selection
}

func newExplainCommand(output *printer) *cobra.Command {
	options := explainOptions{output: output}
	command := &cobra.Command{
		Use:   "explain [-f FILE|DIR|-]... [IMAGE...] | KIND/NAME...",
		Short: "Show which image each container would run, or runs, and why",
		Long: `Show which image each container would run, or runs, and why. The decisions come from the webhook's own code. Nothing is pushed or
changed.

KIND/NAME explains the pods of an object in the cluster: for each image, what runs and with which digest, what the webhook decided when
the pod was created, why the kubelet cannot pull, how far a push or linking has got, whether the host has a newer build, and what to do.
KIND is pod, deployment, statefulset, daemonset, replicaset, job or cronjob, or kubectl's short form such as deploy. An argument that
names a file is treated as a file, unless -n is given. An image whose name has this form needs its tag, such as job/app:latest. The
decisions come from the logs of all of the webhook's pods. The exit status is 1 if an object does not exist, or if the webhook or the
host cannot be asked.

Manifests, in YAML or JSON, may have objects of any kind that contains a pod or a pod template. An IMAGE is treated as the image of a
container without a pull policy. An IMAGE, and an object without a namespace, are treated as being in the namespace that -n names.

docs/reasons.md explains each reason and what to do about it. RewrittenPushing means that the registry does not have the image
yet. If nodes get layers as hard links, such an image is usually promised, and its pod starts before the push.
The exit status is 1 if a manifest cannot be read; it does not depend on the decisions.

-o yaml --apply prints the manifests with the rewritten images. A rewritten image has a digest if it is in the registry, and only
a tag if it is not. An annotation records the original images. The printed manifests have no scheduling gate, because only an
installed webhook could remove it. Push the images with setup push before you apply the manifests.`,
		Example: `  setup explain example/app:local
  setup explain -f deployment.yaml -f jobs/
  helm template chart | setup explain -n shop -f -              # as after helm install -n shop
  setup explain -f deployment.yaml --rules rules.yaml           # try rules before setup up --rules rules.yaml
  setup explain -f deployment.yaml -o yaml --apply | kubectl diff -f -
  setup explain -f . -o json | jq -r '.[] | select(.reason == "NotOnHost") | .image'
  setup explain deploy/web -n shop                              # what the Deployment's pods run, and why
  kubectl get pods -o name | xargs setup explain
  setup explain deploy/web -o json | jq -r '.pods[].images[] | select(.build == "newer") | .remedy'`,
		ValidArgsFunction: localImages(),
		RunE: func(command *cobra.Command, arguments []string) error {
			targets, images := options.split(arguments)
			if err := options.check(targets, images); err != nil {
				return err
			}
			options.choice = selection(command, true)
			if len(targets) > 0 {
				return options.runLive(command.Context(), targets, command.OutOrStdout())
			}
			return options.run(command.Context(), images, command.InOrStdin(), command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "a table", "json", "yaml")
	flags := command.Flags()
	flags.StringArrayVarP(&options.files, "filename", "f", nil, "`FILE` or directory that contains manifests, or - for stdin; can be repeated")
	flags.BoolVar(&options.apply, "apply", false, "with -o yaml, print the manifests with the rewritten images")
	flags.StringVar(&options.rules, "rules", "", "file that contains the rules to try (default the rules in force)")
	flags.StringVar(&options.cluster, "cluster", "",
		"kind cluster to read objects and namespace labels from (default $KIND_CLUSTER_NAME, or the cluster that uses the registry)")
	flags.StringVarP(&options.namespace, "namespace", "n", "", "namespace of objects that name none, and of images (default that of the kubeconfig's context)")
	complete(command, "namespace")
	completeFiles(command, "filename", "yaml", "yml", "json")
	completeFiles(command, "rules", "yaml", "yml", "json")
	completeClusters(command, "cluster")
	return command
}

// manifestExtensions lists the extensions that show that an argument is a file, not an image.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// check returns an error if the arguments are invalid. It sends no request to Docker.
func (o *explainOptions) check(targets []livepod.Target, images []string) error {
	file := slices.IndexFunc(images, func(image string) bool {
		return image == "-" || slices.Contains(manifestExtensions, filepath.Ext(image)) || isObjectFile(image)
	})
	if err := o.format.check(); err != nil {
		return err
	}
	switch {
	case len(targets) > 0:
		return o.checkLive(targets, images)
	case file >= 0 && isObjectFile(images[file]):
		return fmt.Errorf("%s is not an image: give manifests with -f, for example setup explain -f %[1]s; "+
			"for the object in the cluster, add -n NAMESPACE", images[file])
	case file >= 0:
		return fmt.Errorf("%s is not an image: give manifests with -f, for example setup explain -f %[1]s", images[file])
	case o.apply:
		return o.checkApply(images)
	case len(o.files)+len(images) == 0:
		return errors.New("no manifest or image is given: give manifests with -f, or images, for example setup explain example/app:local, " +
			"or a pod, for example setup explain pod/app")
	}
	return nil
}

// checkApply returns an error if the other arguments do not fit --apply.
func (o *explainOptions) checkApply(images []string) error {
	switch {
	case o.format.value != "yaml":
		return errors.New("--apply prints manifests in YAML: add -o yaml")
	case len(images) > 0:
		return fmt.Errorf("--apply prints manifests, and %s is an image: leave one of them out", images[0])
	case len(o.files) == 0:
		return errors.New("--apply prints manifests, and no manifest is given: give manifests with -f")
	}
	return nil
}

// run explains the images and all manifests that can be read.
func (o *explainOptions) run(ctx context.Context, images []string, stdin io.Reader, stdout io.Writer) error {
	given, err := o.assumptions()
	if err != nil {
		return err
	}
	var faults error
	wanted, err := await(ctx, func() explainable {
		var read explainable
		read, faults = readExplainable(images, o.files, stdin)
		return read
	})
	if err != nil {
		return err
	}
	if faults != nil && len(wanted.templates) == 0 {
		return faults
	}
	given.labels = podmanifest.NamespaceLabels(wanted.documents)
	system, err := host.Open(ctx, host.Options{Cluster: o.cluster, Select: o.choice})
	if err != nil {
		return errors.Join(faults, err)
	}
	wanted.setNamespace(cmp.Or(o.namespace, system.Namespace()))
	return errors.Join(faults, o.explain(ctx, hostExplainer{system}, wanted, given, stdout))
}

// assumptions returns the assumptions that the flags ask for.
func (o *explainOptions) assumptions() (assumptions, error) {
	if o.rules == "" {
		return assumptions{}, nil
	}
	rules, err := host.ReadRules(o.rules)
	return assumptions{rules: &rules}, err
}

// explain prints the decisions about the pods in wanted.
func (o *explainOptions) explain(
	ctx context.Context, by explainer, wanted explainable, given assumptions, stdout io.Writer,
) error {
	o.output.Begin("lookup")
	start := time.Now()
	explained, err := by.Explain(ctx, wanted.pods(), given)
	o.output.Checked(step.Status{Step: "lookup", Duration: time.Since(start)})
	if err != nil {
		return err
	}
	if !o.apply {
		entries := newExplainEntries(wanted.templates, explained)
		return o.print(stdout, entries, func() string { return explainTable(entries) })
	}
	for i, template := range wanted.templates {
		patch, err := explained[i].Patch()
		if err == nil {
			err = template.Apply(patch)
		}
		if err != nil {
			return err
		}
	}
	return podmanifest.Write(stdout, wanted.documents)
}

// explainable contains the pods to explain, and the documents that they come from.
type explainable struct {
	documents []*podmanifest.Document
	templates []*podmanifest.Template // first those for IMAGE arguments, which belong to no document
}

// readExplainable reads the files and creates a pod for each image. If it returns an error, it also returns everything that it
// could read.
func readExplainable(images, files []string, stdin io.Reader) (explainable, error) {
	var wanted explainable
	for _, image := range images {
		wanted.templates = append(wanted.templates, &podmanifest.Template{Pod: podOf(image)})
	}
	documents, err := podmanifest.Read(files, stdin)
	wanted.documents = documents
	for _, document := range documents {
		templates, fault := document.Templates()
		wanted.templates = append(wanted.templates, templates...)
		err = errors.Join(err, fault)
	}
	return wanted, err
}

// podOf returns a pod with one container that runs the image. The pod has no pull policy, so the API server's default applies.
func podOf(image string) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
	}
}

// setNamespace sets the namespace of the pods that have none.
func (e explainable) setNamespace(namespace string) {
	for _, template := range e.templates {
		template.Pod.Namespace = cmp.Or(template.Pod.Namespace, namespace)
	}
}

// pods returns the pods of the templates.
func (e explainable) pods() []*corev1.Pod {
	pods := make([]*corev1.Pod, 0, len(e.templates))
	for _, template := range e.templates {
		pods = append(pods, template.Pod)
	}
	return pods
}
