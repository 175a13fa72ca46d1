package webhook_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/webhook/webhooktest"
)

// template returns a pod template with one container, as JSON.
func template(image, annotation string) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{"kind-local-registry/rewrite":%q}},"spec":{"containers":[{"name":"a","image":%q}]}}`, annotation, image)
}

// workload returns a request that creates the object, or updates it if old is not "".
func workload(resource, object, old string) *admissionv1.AdmissionRequest {
	request := creation(object)
	request.Resource = metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: resource}
	if resource == "jobs" || resource == "cronjobs" {
		request.Resource.Group = "batch"
	}
	if old != "" {
		request.Operation, request.OldObject.Raw = admissionv1.Update, []byte(old)
	}
	return request
}

func TestHandle_WarnsAboutTypingErrorsInWorkloads(t *testing.T) {
	t.Parallel()
	deployment := func(image string) string { return `{"spec":{"template":` + template(image, "") + `}}` }
	want := []string{"kind-local-registry: the host has no typo/x:1; did you mean host/x:1?"}
	for name, tt := range map[string]struct {
		request *admissionv1.AdmissionRequest
		want    []string
	}{
		"a Deployment":                          {workload("deployments", deployment("typo/x:1"), ""), want},
		"a Deployment of the host's image":      {workload("deployments", deployment("host/x:1"), ""), nil},
		"a Deployment without a typing error":   {workload("deployments", deployment("othertag/x:1"), ""), nil},
		"a Deployment that cannot be looked up": {workload("deployments", deployment("down/x:1"), ""), nil},
		"a Job":                                 {workload("jobs", deployment("typo/x:1"), ""), want},
		"a CronJob":                             {workload("cronjobs", `{"spec":{"jobTemplate":{"spec":{"template":`+template("typo/x:1", "")+`}}}}`, ""), want},
		"an update of the image":                {workload("deployments", deployment("typo/x:1"), deployment("host/x:1")), want},
		"another update":                        {workload("deployments", deployment("typo/x:1"), deployment("typo/x:1")), nil},
		"a template that opts out":              {workload("deployments", `{"spec":{"template":`+template("typo/x:1", "false")+`}}`, ""), nil},
		"no template":                           {workload("deployments", `{"spec":{}}`, ""), nil},
		"too many containers":                   {workload("deployments", many(), ""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), tt.request)
			if diff := cmp.Diff(tt.want, got.Warnings); diff != "" || !got.Allowed || got.Patch != nil {
				t.Errorf("Handle = %+v, want it allowed and untouched; warnings (-want +got):\n%s", got, diff)
			}
		})
	}
}

// many returns a Deployment with 1001 containers.
func many() string {
	containers := strings.TrimSuffix(strings.Repeat(`{"image":"typo/x:1"},`, 1001), ",")
	return `{"spec":{"template":{"spec":{"containers":[` + containers + `]}}}}`
}
