package certs

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

func TestSetPath_ChangesServiceOrURLOnce(t *testing.T) {
	t.Parallel()
	service := func(path *string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Path: path}}
	}
	for name, to := range map[string]admissionv1.WebhookClientConfig{
		"a Service without a path":   service(nil),
		"a Service with an old path": service(new("/pods")),
		"a URL":                      {URL: new("https://localhost:9443/pods")},
	} {
		if !setPath(&to, "/pods/some-token") {
			t.Errorf("%s: not changed", name)
		}
		if setPath(&to, "/pods/some-token") {
			t.Errorf("%s: reported a change the second time", name)
		}
		switch {
		case to.Service != nil && *to.Service.Path != "/pods/some-token":
			t.Errorf("%s: path = %s", name, *to.Service.Path)
		case to.URL != nil && *to.URL != "https://localhost:9443/pods/some-token":
			t.Errorf("%s: URL = %s", name, *to.URL)
		}
	}
}
