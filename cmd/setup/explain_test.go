package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/podmanifest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/explain"
	"kind-local-registry/webhook/podimage"
)

// presences implements lookup.Looker and explainer. It maps normalised references to the presences of their images.
type presences map[string]rewrite.Presence

// appPresences returns presences in which one image is in the registry, and the others are only on the host.
func appPresences() presences {
	return presences{
		"docker.io/example/app:local":       {OnHost: true, Digest: someDigest.String(), Served: someDigest.String()},
		"docker.io/example/worker:local":    {OnHost: true},
		"quay.io/example/broken:1":          {OnHost: true, Refusal: rewrite.Unservable},
		"docker.io/library/postgres:latest": {OnHost: true, Pulled: true},
	}
}

// Lookup implements lookup.Looker.
func (p presences) Lookup(_ context.Context, name rewrite.Name) (rewrite.Presence, error) {
	return p[name.String()], nil
}

// Explain implements explainer.
func (p presences) Explain(ctx context.Context, pods []*corev1.Pod, given assumptions) ([]explain.Explanation, error) {
	const registryHost = "localhost:5001"
	decider := webhook.Decider{RegistryHost: registryHost, Looker: p, Rules: rules.Default}
	var explained []explain.Explanation
	for _, pod := range pods {
		subject := webhook.Subject{
			Pod: podimage.Read(pod, registryHost), Fields: podimage.Fields(pod), Namespace: pod.Namespace, Labels: given.labels[pod.Namespace],
		}
		explained = append(explained, explain.Explanation{
			Subject: subject, Outcomes: decider.Decide(ctx, subject),
		})
	}
	return explained, nil
}

// explainApp returns the output of setup explain for the manifests in testdata/explain/app.yaml and the images.
func explainApp(t *testing.T, options explainOptions, images ...string) string {
	t.Helper()
	options.output = &printer{w: io.Discard}
	options.files = []string{filepath.FromSlash("testdata/explain/app.yaml")}
	wanted, err := readExplainable(images, options.files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if options.namespace == "" {
		options.namespace = corev1.NamespaceDefault
	}
	wanted.setNamespace(options.namespace)
	given := assumptions{labels: podmanifest.NamespaceLabels(wanted.documents)}
	var out bytes.Buffer
	if err := options.explain(t.Context(), appPresences(), wanted, given, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// compareGolden compares got with a file in testdata/golden. With -update, it writes got to the file first.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestExplain_PrintsARowForEachImageField(t *testing.T) {
	t.Parallel()
	got := explainApp(t, explainOptions{format: &format{}}, "example/worker:local", "redis:7", "Example/App")
	compareGolden(t, "explain.txt", got)
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); line != strings.TrimRight(line, " ") {
			t.Errorf("%q ends with a space", line)
		} else if columns := len([]rune(line)); columns > explainWidth {
			t.Errorf("%q has %d columns, want at most %d", line, columns, explainWidth)
		}
	}
}

func TestExplain_PrintsTheSameInJSONAndYAML(t *testing.T) {
	t.Parallel()
	inJSON := explainApp(t, explainOptions{format: &format{value: "json"}}, "redis:7")
	compareGolden(t, "explain.json", inJSON)
	inYAML, err := yaml.YAMLToJSON([]byte(explainApp(t, explainOptions{format: &format{value: "yaml"}}, "redis:7")))
	if err != nil {
		t.Fatal(err)
	}
	want, err := yaml.YAMLToJSON([]byte(inJSON)) // JSON is YAML, so the converter formats both alike
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(inYAML)); diff != "" {
		t.Errorf("-o json differs from -o yaml (-json +yaml):\n%s", diff)
	}
}

func TestExplain_PlacesInTheNamespaceWhatNamesNone(t *testing.T) {
	t.Parallel()
	var entries []report.Explained
	out := explainApp(t, explainOptions{format: &format{value: "json"}, namespace: "apart"}, "example/app:local")
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if optedOut := entry.Reason == string(rewrite.OptedOut); optedOut == (entry.Namespace == "jobs") {
			t.Errorf("%s %s/%s with %s: %s", entry.Kind, entry.Namespace, entry.Name, entry.Image, entry.Reason)
		}
	}
}

func TestExplain_AppliesDecisionsWithoutGate(t *testing.T) {
	t.Parallel()
	got := explainApp(t, explainOptions{format: &format{value: "yaml"}, apply: true})
	compareGolden(t, "explain-apply.yaml", got)
	if strings.Contains(got, config.Gate) {
		t.Errorf("the manifests have a gate:\n%s", got)
	}
	again, err := podmanifest.Read([]string{"-"}, strings.NewReader(got))
	if err != nil || len(again) == 0 {
		t.Errorf("the printed manifests have %d documents, %v", len(again), err)
	}
}

func TestExplain_PrintsEmptyArrayForNoImages(t *testing.T) {
	t.Parallel()
	for chosen, want := range map[string]string{"": "No images found.\n", "json": "[]\n", "yaml": "[]\n"} {
		options := explainOptions{output: &printer{w: io.Discard}, format: &format{value: chosen}}
		var out bytes.Buffer
		err := options.explain(t.Context(), presences{}, explainable{}, assumptions{}, &out)
		if err != nil || out.String() != want {
			t.Errorf("-o %q prints %q, %v; want %q", chosen, out.String(), err, want)
		}
	}
}

func TestExplainTable_PutsNotesBesideOrBelowBlock(t *testing.T) {
	t.Parallel()
	at := report.Place{File: "f", Line: 3, Kind: "Pod", Namespace: "default", Name: "p"}
	short := report.Explained{
		Place: at, Field: "spec.containers{a}", Image: "a", Outcome: "rewritten", Reason: string(rewrite.Rewritten), Rewritten: "localhost:5001/a:1",
	}
	long := report.Explained{
		Place: at, Field: "spec.containers{bb}", Image: "b", Outcome: "left alone", Reason: string(rewrite.LookupUnavailable),
		Detail: strings.Repeat("no answer ", 6) + "\n",
	}
	for name, test := range map[string]struct {
		entries []report.Explained
		want    string
	}{
		"all fit": {[]report.Explained{short}, `Pod default/p (f:3)
  spec.containers{a}  a  rewritten  Rewritten  localhost:5001/a:1
`},
		"one does not fit": {[]report.Explained{short, long}, `Pod default/p (f:3)
  spec.containers{a}   a  rewritten   Rewritten
                       localhost:5001/a:1
  spec.containers{bb}  b  left alone  LookupUnavailable
                       no answer no answer no answer no answer no answer no answer
`},
	} {
		if diff := cmp.Diff(test.want, explainTable(test.entries)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadExplainable_ReturnsValidTemplatesWithError(t *testing.T) {
	t.Parallel()
	const stdin = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n---\nname: values\n"
	wanted, err := readExplainable([]string{"b"}, []string{"-"}, strings.NewReader(stdin))
	if err == nil || !strings.Contains(err.Error(), "standard input:5: not a Kubernetes object") {
		t.Errorf("error %v, want one about line 5", err)
	}
	var images []string
	for _, pod := range wanted.pods() {
		images = append(images, pod.Spec.Containers[0].Image)
	}
	if diff := cmp.Diff([]string{"b", "a"}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestExplain_PrintsNothingOnError(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	options := explainOptions{output: &printer{w: io.Discard}, format: &format{value: "json"}}
	err := options.explain(t.Context(), noExplainer{}, explainable{}, assumptions{}, &out)
	if !errors.Is(err, errNoExplainer) || out.Len() > 0 {
		t.Errorf("printed %q, error %v; want the error alone", out.String(), err)
	}
}

var errNoExplainer = errors.New("the pusher is gone")

// noExplainer is an explainer that always fails.
type noExplainer struct{}

// Explain implements explainer.
func (noExplainer) Explain(context.Context, []*corev1.Pod, assumptions) ([]explain.Explanation, error) {
	return nil, errNoExplainer
}
