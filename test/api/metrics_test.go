//go:build api

package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"kind-local-registry/internal/rewrite"
)

func TestMetrics_ReportDecisionsAndCertificateExpiry(t *testing.T) {
	t.Parallel()
	shared.host.add("metrics/app:local", image{inRegistry: true})
	create(t, pod(newNamespace(t), "metrics/app:local"))
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", shared.options.MetricsPort))
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	for _, reason := range rewrite.Reasons() {
		wantMetric(t, string(page), fmt.Sprintf("kind_local_registry_decisions_total{reason=%q}", reason), reason == rewrite.Rewritten)
	}
	for name, positive := range map[string]bool{
		"kind_local_registry_admission_duration_seconds_count":              true,
		`kind_local_registry_lookup_duration_seconds_count{answered="yes"}`: true,
		"kind_local_registry_certificate_expiry_seconds":                    true,
		"kind_local_registry_admissions_in_flight":                          false,
		"kind_local_registry_panics_total":                                  false,
	} {
		wantMetric(t, string(page), name, positive)
	}
}

// wantMetric fails the test unless the page has the metric. If positive is true, the metric's value must be greater than 0.
func wantMetric(t *testing.T, page, name string, positive bool) {
	t.Helper()
	for line := range strings.Lines(page) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			if positive && strings.TrimSpace(value) == "0" {
				t.Errorf("%s = 0, want more", name)
			}
			return
		}
	}
	t.Errorf("the page has no metric %s", name)
}
