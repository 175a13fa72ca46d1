// Package webhooktest provides images, requests and pushers for the webhook's tests.
package webhooktest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
)

const (
	// RegistryHost is the registry's host in rewritten images.
	RegistryHost = "localhost:5001"
	// Digest is the manifest digest of every image in the registry.
	Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	// ImageID is the ID of every image on the host.
	ImageID = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

// World is a fake host and registry. The first component of an image's name decides how the image behaves: registry/…, pulled/…,
// host/…, gone/… (gone by the time it is pushed), refused/…, down/… or panic/…. No other images exist, but typo/… resembles an image of
// the host because of a typing error, and othertag/… because of its repository. The registry also serves every reference that names
// it and has a digest.
type World struct{}

// Lookup implements lookup.Looker.
func (World) Lookup(_ context.Context, looked rewrite.Name) (rewrite.Presence, error) {
	name := looked.String()
	local := strings.HasPrefix(name, RegistryHost)
	kind, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), RegistryHost+"/"), "/")
	switch {
	case local && strings.Contains(name, "@"):
		return rewrite.Presence{Served: Digest}, nil
	case kind == "registry":
		return rewrite.Presence{OnHost: true, Digest: Digest, Served: Digest}, nil
	case kind == "host" || kind == "gone":
		return rewrite.Presence{OnHost: true, ImageID: ImageID}, nil
	case kind == "pulled":
		return rewrite.Presence{OnHost: true, Pulled: true, Digest: Digest, Served: Digest}, nil
	case kind == "refused":
		return rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform}, nil
	case kind == "down":
		return rewrite.Presence{}, errors.New("no route to host")
	case kind == "typo" || kind == "othertag":
		return rewrite.Presence{Similar: []string{strings.Replace(looked.Familiar(), kind, "host", 1)}, Typo: kind == "typo"}, nil
	case kind == "panic":
		panic("in a test")
	}
	return rewrite.Presence{}, nil
}

// Push implements webhook.Pusher. Every push takes no time.
func (World) Push(_ context.Context, name string, _ func(webhook.Progress)) (string, error) {
	if strings.HasPrefix(strings.TrimPrefix(name, RegistryHost+"/"), "gone/") {
		return "", &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: "in a test"}
	}
	return Digest, nil
}

// Labels implements webhook.Namespaces. Only the namespace opted-out has labels. They opt it out.
func (World) Labels(_ context.Context, name string) (map[string]string, error) {
	if name == "opted-out" {
		return map[string]string{config.RewriteAnnotation: "false"}, nil
	}
	return nil, nil
}

// NewHandler returns a handler that uses World and logs to log.
func NewHandler(t testing.TB, log logr.Logger) *webhook.Handler {
	t.Helper()
	inForce := rules.Default()
	return &webhook.Handler{
		Decider:    &webhook.Decider{RegistryHost: RegistryHost, Looker: World{}, Rules: func() rules.Rules { return inForce }},
		Journal:    webhook.NewJournal(log),
		Log:        log,
		Metrics:    webhook.NewMetrics(),
		Guard:      webhook.NewLoopGuard(),
		Namespaces: World{},
		Pushes:     webhook.NewPushes(t.Context(), World{}, time.Minute, log),
		Identity:   "some-pod",
	}
}
