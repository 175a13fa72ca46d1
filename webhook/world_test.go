package webhook_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
)

const (
	registryHost = "localhost:5001"
	someDigest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	someImageID  = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

// world says of a name what its first component says: registry/…, pulled/…, host/…, gone/… (when it is pushed), refused/…,
// down/… and panic/…; nobody has the others. The registry serves what it is asked for by its own name and a digest.
type world struct{}

func (world) Lookup(_ context.Context, looked rewrite.Name) (rewrite.Presence, error) {
	name := looked.String()
	local := strings.HasPrefix(name, registryHost)
	kind, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), registryHost+"/"), "/")
	switch {
	case local && strings.Contains(name, "@"):
		return rewrite.Presence{Served: someDigest}, nil
	case kind == "registry":
		return rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest}, nil
	case kind == "host" || kind == "gone":
		return rewrite.Presence{OnHost: true, ImageID: someImageID}, nil
	case kind == "pulled":
		return rewrite.Presence{OnHost: true, Pulled: true, Digest: someDigest, Served: someDigest}, nil
	case kind == "refused":
		return rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform}, nil
	case kind == "down":
		return rewrite.Presence{}, errors.New("no route to host")
	case kind == "panic":
		panic("in a test")
	}
	return rewrite.Presence{}, nil
}

// Push implements webhook.Pusher: images of the host are pushed at once.
func (world) Push(_ context.Context, name string, _ func(webhook.Progress)) (string, error) {
	if strings.HasPrefix(strings.TrimPrefix(name, registryHost+"/"), "gone/") {
		return "", &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: "in a test"}
	}
	return someDigest, nil
}

// Labels implements webhook.Namespaces: one namespace has opted out.
func (world) Labels(_ context.Context, name string) (map[string]string, error) {
	if name == "opted-out" {
		return map[string]string{config.RewriteAnnotation: "false"}, nil
	}
	return nil, nil
}

// newHandler returns a handler in that world.
func newHandler(t testing.TB, log logr.Logger) *webhook.Handler {
	t.Helper()
	inForce := rules.Default()
	return &webhook.Handler{
		Decider:    &webhook.Decider{RegistryHost: registryHost, Looker: world{}, Rules: func() rules.Rules { return inForce }},
		Journal:    webhook.NewJournal(log),
		Log:        log,
		Metrics:    webhook.NewMetrics(),
		Guard:      webhook.NewLoopGuard(),
		Namespaces: world{},
		Pushes:     webhook.NewPushes(t.Context(), world{}, time.Minute, log),
		Identity:   "some-pod",
	}
}

// panickingSink panics at every line but an error.
type panickingSink struct{ funcr.Formatter }

func (*panickingSink) Info(int, string, ...any)         { panic("in a test") }
func (*panickingSink) Error(error, string, ...any)      {}
func (s *panickingSink) WithValues(...any) logr.LogSink { return s }
func (s *panickingSink) WithName(string) logr.LogSink   { return s }
func (*panickingSink) Init(logr.RuntimeInfo)            {}
func (*panickingSink) Enabled(int) bool                 { return true }
