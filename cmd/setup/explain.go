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
		Short: "Say for each image of manifests what would run, and why",
		Long: `Say for each image of manifests what would run, and why, by the code that the webhook runs. Nothing is pushed or changed.

Manifests may be of any kind that has a pod in it, in YAML or JSON. An object without namespace is taken to be in default. An
IMAGE is explained as that of a container in default with nothing said about how it is pulled. docs/reasons.md says what each
reason means, and what to do. The exit status is 0 whatever is decided, and 1 if a manifest cannot be read.

-o yaml --apply prints the manifests as they would run: images rewritten, by digest where the registry holds them and by tag
where they are yet to be pushed, with the annotation that says what was written before. The scheduling gate with which the
webhook holds a pod until its images are pushed is left out, as nobody might be there to lift it: push them with setup push.`,
		Example: `  setup explain example/app:local
  setup explain -f deployment.yaml -f jobs/
  helm template chart | setup explain -f -
  setup explain -f deployment.yaml --rules rules.yaml           # before setup up --rules rules.yaml
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
	flags.StringArrayVarP(&options.files, "filename", "f", nil, "`FILE` or directory with manifests, or - for stdin; may be repeated")
	flags.StringVarP(&options.format, "output", "o", "", "json or yaml, or nothing for a table")
	flags.BoolVar(&options.apply, "apply", false, "with -o yaml, print the manifests as they would run")
	flags.StringVar(&options.rules, "rules", "", "file with rules to try (default those that setup up was given)")
	flags.StringVar(&options.cluster, "cluster", "", "kind cluster that is asked for the labels of namespaces (default \""+config.Cluster+"\")")
	return command
}

// manifestExtensions are those of files that no image is meant by.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// check returns what can be seen to be wrong without asking Docker.
func (o *explainOptions) check(images []string) error {
	file := slices.IndexFunc(images, func(image string) bool {
		return image == "-" || slices.Contains(manifestExtensions, filepath.Ext(image))
	})
	switch {
	case o.format != "" && o.format != "json" && o.format != "yaml":
		return fmt.Errorf("--output %q is unknown: use json or yaml, or leave it out for a table", o.format)
	case file >= 0:
		return fmt.Errorf("%s is no image: give manifests with -f, as in setup explain -f %[1]s", images[file])
	case o.apply:
		return o.checkApply(images)
	case len(o.files)+len(images) == 0:
		return errors.New("nothing is named: give manifests with -f, or images, as in setup explain example/app:local")
	}
	return nil
}

// checkApply returns what is wrong where manifests are to be printed.
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

// run explains the images, and the manifests as far as they can be read.
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

// explain prints what is decided about the templates.
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

// explainable is what is explained.
type explainable struct {
	documents []*podmanifest.Document
	templates []*podmanifest.Template // of the images, which stand in no document, and then of the documents
}

// readExplainable reads the files, and makes pods of the images. With an error, it returns what could be read.
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

// podOf returns a pod with a container of the image. Its pull policy is not set, which means the API server's default.
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
