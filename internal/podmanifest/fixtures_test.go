package podmanifest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gomodules.xyz/jsonpatch/v2"

	"kind-local-registry/internal/podmanifest"
)

// These manifests contain comments, lists, anchors and JSON.
const (
	deployment = `# Source: shop/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # the shop
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: web}

    spec:
      # first the schema
      initContainers:
        - name: migrate
          image: "shop/migrate:1"
      containers:
        - name: web
          image: shop/web:local # ours
          imagePullPolicy: Never
          args: ["yes", serve]
        - {name: proxy, image: envoy}
      volumes:
        - name: models
          image:
            reference: shop/models
      # the end
`
	list = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web}
- apiVersion: batch/v1
  kind: CronJob
  metadata:
    generateName: nightly-
  spec:
    jobTemplate:
      spec:
        template:
          spec:
            containers:
            - name: job
              image: job:1
- apiVersion: v1
  kind: PodList
  items:
  - metadata: {name: one}
    spec:
      containers:
      - name: a
        image: a
`
	anchored = `apiVersion: example.com/v1
kind: Pair
metadata: {name: pair}
spec:
  left: &left
    spec:
      containers:
        - &app
          name: app
          image: &image app:1
          env: [{name: IMAGE, value: *image}]
  right: *left
  third:
    spec:
      containers:
        - <<: *app
          name: third
`
	asJSON = `{"apiVersion": "v1", "kind": "Pod",
  "metadata": {"name": "one", "annotations": {"mood": "\ud83d\ude00", "yes": "on", "n": "1"}},
  "spec": {"terminationGracePeriodSeconds": 5, "containers": [
    {"name": "a", "image": "a:1", "tty": true, "command": ["sh", "-c", "a\nb\n"]}]}}
`
)

// read returns the documents in a valid text.
func read(t *testing.T, text string) []*podmanifest.Document {
	t.Helper()
	documents, err := podmanifest.Read([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// templates returns the templates in all documents.
func templates(t *testing.T, documents []*podmanifest.Document) []*podmanifest.Template {
	t.Helper()
	var all []*podmanifest.Template
	for _, document := range documents {
		found, err := document.Templates()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// written returns Write's output.
func written(t *testing.T, documents []*podmanifest.Document) string {
	t.Helper()
	var out bytes.Buffer
	if err := podmanifest.Write(&out, documents); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// replaceImage returns the operation that sets a container's image.
func replaceImage(container int, image string) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", fmt.Sprintf("/spec/containers/%d/image", container), image)
}
