package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/podmanifest"
)

// explainOptions are the flags of setup explain.
type explainOptions struct {
	files   []string
	format  string
	apply   bool
	rules   string
	cluster string
}

func newExplainCommand() *cobra.Command {
	var options explainOptions
	command := &cobra.Command{
		Use:   "explain [-f FILE|DIR|-]... [IMAGE...]",
		Short: "Show which image each container of manifests would run, and why",
		Long: `Show which image each container of manifests would run, and why. The webhook's own code decides. Nothing is pushed or changed.

Manifests may be of any kind that contains a pod, in YAML or JSON. An object without a namespace is treated as being in the namespace
default. An IMAGE is explained like that of a container in that namespace without a pull policy. docs/reasons.md explains each reason,
and what to do.
The exit status is 0 whatever the decisions are, and 1 if a manifest cannot be read.

-o yaml --apply prints the manifests with the rewritten images: by digest if the registry has the image, and by tag if it has to
be pushed first. An annotation records the original images. The manifests have no scheduling gate, because only an
installed webhook can remove it, so push the images first with setup push.`,
		Example: `  setup explain example/app:local
  setup explain -f deployment.yaml -f jobs/
  helm template chart | setup explain -f -
  setup explain -f deployment.yaml --rules rules.yaml           # try them before setup up --rules rules.yaml
  setup explain -f deployment.yaml -o yaml --apply | kubectl diff -f -
  setup explain -f . -o json | jq -r '.[] | select(.reason == "NotOnHost") | .image'`,
		RunE: func(command *cobra.Command, images []string) error {
			if err := options.check(images); err != nil {
				return err
			}
			return options.run(command.Context(), images, command.InOrStdin(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringArrayVarP(&options.files, "filename", "f", nil, "`FILE` or directory with manifests, or - for stdin; can be repeated")
	flags.StringVarP(&options.format, "output", "o", "", "json or yaml, or nothing for a table")
	flags.BoolVar(&options.apply, "apply", false, "with -o yaml, print the manifests with the rewritten images")
	flags.StringVar(&options.rules, "rules", "", "file with rules to try (default the rules in force)")
	flags.StringVar(&options.cluster, "cluster", "", "kind cluster with the labels of namespaces (default \""+config.Cluster+"\")")
	return command
}

// manifestExtensions are the extensions of arguments that are files and not images.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// check returns what is wrong with the arguments. It does not ask Docker.
func (o *explainOptions) check(images []string) error {
	file := slices.IndexFunc(images, func(image string) bool {
		return image == "-" || slices.Contains(manifestExtensions, filepath.Ext(image))
	})
	switch {
	case o.format != "" && o.format != "json" && o.format != "yaml":
		return fmt.Errorf("--output %q is unknown: use json or yaml, or leave it out for a table", o.format)
	case file >= 0:
		return fmt.Errorf("%s is not an image: give manifests with -f, as in setup explain -f %[1]s", images[file])
	case o.apply:
		return o.checkApply(images)
	case len(o.files)+len(images) == 0:
		return errors.New("no manifest or image is given: give manifests with -f, or images, as in setup explain example/app:local")
	}
	return nil
}

// checkApply is check for --apply.
func (o *explainOptions) checkApply(images []string) error {
	switch {
	case o.format != "yaml":
		return errors.New("--apply prints manifests in YAML: give -o yaml with it")
	case len(images) > 0:
		return fmt.Errorf("--apply prints manifests, and %s is an image: leave one of them out", images[0])
	case len(o.files) == 0:
		return errors.New("--apply prints manifests, and none is given: give them with -f")
	}
	return nil
}

// run explains the images, and the manifests that can be read.
func (o *explainOptions) run(ctx context.Context, images []string, stdin io.Reader, stdout io.Writer) error {
	given, err := o.assumptions()
	if err != nil {
		return err
	}
	wanted, faults := readExplainable(images, o.files, stdin)
	if faults != nil && len(wanted.templates) == 0 {
		return faults
	}
	given.labels = podmanifest.NamespaceLabels(wanted.documents)
	system, err := host.Open(ctx, host.Options{Cluster: o.cluster})
	if err == nil {
		err = o.explain(ctx, hostExplainer{system}, wanted, given, stdout)
	}
	return errors.Join(faults, err)
}

// assumptions returns the assumptions that the flags make.
func (o *explainOptions) assumptions() (assumptions, error) {
	if o.rules == "" {
		return assumptions{}, nil
	}
	rules, err := host.ReadRules(o.rules)
	return assumptions{rules: &rules}, err
}

// explain prints the decisions about the templates.
func (o *explainOptions) explain(
	ctx context.Context, by explainer, wanted explainable, given assumptions, stdout io.Writer,
) error {
	explained, err := by.Explain(ctx, wanted.pods(), given)
	if err != nil {
		return err
	}
	if !o.apply {
		return printExplained(stdout, newExplainEntries(wanted.templates, explained), o.format)
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

// explainable is what the arguments and the files give to explain.
type explainable struct {
	documents []*podmanifest.Document
	templates []*podmanifest.Template // those of images that are arguments come first, and are in no document
}

// readExplainable reads the files, and creates pods of the images. With an error, it also returns what it could read.
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

// podOf returns a pod with a container of the image. It sets no pull policy, so that the API server's default applies.
func podOf(image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
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
