package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/engine/enginetest"
)

// openWithRules returns an explainer for a host whose pusher was started with the rules document.
func openWithRules(t *testing.T, document string) hostExplainer {
	t.Helper()
	daemon := enginetest.New(t)
	pusher := daemon.AddContainer(config.PusherContainer, map[string]string{config.Label: config.PusherContainer})
	pusher.Config.Env = []string{config.RulesVariable + "=" + document}
	t.Setenv("DOCKER_HOST", daemon.Host())
	system, err := host.Open(t.Context(), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return hostExplainer{system}
}

func TestHostExplainer_ReportsThatItWasInterrupted(t *testing.T) {
	explainer := openWithRules(t, "rules: {}")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	explanations, err := explainer.Explain(ctx, nil, assumptions{})
	if explanations != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Explain = %v, %v; want %v", explanations, err, context.Canceled)
	}
}

func TestHostExplainer_RejectsInvalidRulesOfThePusher(t *testing.T) {
	_, err := openWithRules(t, "rules: {}").Explain(t.Context(), nil, assumptions{})
	if err == nil || !strings.HasPrefix(err.Error(), "nothing can be explained: rules of "+config.PusherContainer+":1") {
		t.Errorf("Explain = %v, want an error about the rules", err)
	}
}

func TestHostExplainer_SaysWhatToDoWithoutAPusher(t *testing.T) {
	_, err := openWithRules(t, "").Explain(t.Context(), nil, assumptions{})
	if err == nil || !strings.HasPrefix(err.Error(), "nothing can be explained: no container "+config.RegistryContainer) ||
		!strings.HasSuffix(err.Error(), "; run setup up") {
		t.Errorf("Explain = %v, want an error about the registry, and what to do", err)
	}
}
