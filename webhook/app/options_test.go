package app_test

import (
	"strings"
	"testing"

	"kind-local-registry/webhook/app"
)

func TestValidate_AcceptsTheDefaults(t *testing.T) {
	t.Parallel()
	if err := app.Defaults().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate_ReportsEveryFault(t *testing.T) {
	t.Parallel()
	err := app.Options{RegistryHost: "nowhere", WebhookPort: 70000, MetricsPort: -1}.Validate()
	if err == nil {
		t.Fatal("Validate accepts invalid options")
	}
	for _, want := range []string{
		"identity", "namespace", "certificate", "registry host", "webhook port", "health port", "metrics port", "deadline",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %q, want it to also name the %s", err, want)
		}
	}
}

func TestServiceNames_IncludeTheNameThatTheAPIServerDials(t *testing.T) {
	t.Parallel()
	if got, want := app.ServiceNames("a", "b")[0], "a.b.svc"; got != want {
		t.Errorf("ServiceNames = %q, want %q first", got, want)
	}
}
