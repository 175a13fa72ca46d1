package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rules"
)

// parse returns the rules of a valid document.
func parse(t *testing.T, document string) rules.Rules {
	t.Helper()
	parsed, err := rules.Parse("rules.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestExcludesImage_MatchesPatterns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ pattern, matched, other string }{
		"an official image":            {"nginx", "docker.io/library/nginx:1.27", "docker.io/acme/nginx:1.27"},
		"its full name":                {"docker.io/library/nginx", "docker.io/library/nginx:1.27", "quay.io/library/nginx:1.27"},
		"its name with library":        {"library/nginx", "docker.io/library/nginx:1.27", "docker.io/acme/nginx:1.27"},
		"its name with the host alone": {"docker.io/nginx", "docker.io/library/nginx:1.27", "docker.io/acme/nginx:1.27"},
		"a prefix of official images":  {"ngin*", "docker.io/library/nginx:1.27", "docker.io/ngin/x:1"},
		"every official image":         {"docker.io/*", "docker.io/library/nginx:1.27", "docker.io/acme/nginx:1.27"},
		"a user of Docker Hub":         {"acme/*", "docker.io/acme/app:1", "quay.io/acme/app:1"},
		"all of Docker Hub":            {"docker.io/**", "docker.io/library/nginx:1.27", "quay.io/library/nginx:1.27"},
		"a tag":                        {"nginx:1.*", "docker.io/library/nginx:1.27", "docker.io/library/nginx:2.0"},
		"a tag of every image":         {"**:local", "quay.io/a/b:local", "quay.io/a/b:1"},
		"a tag of a pinned image":      {"nginx:1", "docker.io/library/nginx:1@sha256:ab", "docker.io/library/nginx:2@sha256:ab"},
		"a digest":                     {"nginx@sha256:a*", "docker.io/library/nginx:1@sha256:ab", "docker.io/library/nginx:1"},
		"* within a segment":           {"quay.io/*", "quay.io/a:1", "quay.io/a/b:1"},
		"** across segments":           {"quay.io/**", "quay.io/a/b:1", "quay.io.example/a:1"},
		"** between segments":          {"quay.io/**/b", "quay.io/b:1", "quay.io/b/c:1"},
		"any host":                     {"*/acme/app", "quay.io/acme/app:1", "quay.io/x/acme/app:1"},
		"hosts of a domain":            {"*.corp.example/**", "a.corp.example/x:1", "corp.example/x:1"},
		"a port":                       {"reg.corp:5000/**", "reg.corp:5000/a/b:1", "reg.corp:5001/a/b:1"},
		"a port and a tag":             {"reg.corp:5000/a:1", "reg.corp:5000/a:1", "reg.corp:5000/a:2"},
		"localhost is a host":          {"localhost/a", "localhost/a:1", "docker.io/localhost/a:1"},
		"alternatives":                 {"{quay.io,ghcr.io}/**", "ghcr.io/a/b:1", "docker.io/a/b:1"},
		"every image of that name":     {"**/debug", "quay.io/a/debug:1", "quay.io/debug/a:1"},
		"? and a character class":      {"quay.io/a?/[bc]", "quay.io/a1/c:1", "quay.io/a1/d:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed := parse(t, "images: {exclude: ['"+tt.pattern+"']}")
			if got, want := parsed.ExcludesImage(tt.matched), `images.exclude "`+tt.pattern+`"`; got != want {
				t.Errorf("ExcludesImage(%q) = %q, want %q", tt.matched, got, want)
			}
			if got := parsed.ExcludesImage(tt.other); got != "" {
				t.Errorf("ExcludesImage(%q) = %q, want nothing", tt.other, got)
			}
		})
	}
}

func TestRules_ExcludeWinsOverInclude(t *testing.T) {
	t.Parallel()
	parsed := parse(t, `
images: {include: [acme/**, quay.io/**], exclude: ["**:dev"]}
namespaces: {include: ["team-*"], exclude: [team-b]}
pods: {exclude: ["app in (a, b),!tier"]}
`)
	for name, tt := range map[string]struct{ got, want string }{
		"an image included":           {parsed.ExcludesImage("docker.io/acme/a:1"), ""},
		"an image not included":       {parsed.ExcludesImage("docker.io/library/a:1"), "not in images.include"},
		"an image included, excluded": {parsed.ExcludesImage("quay.io/a:dev"), `images.exclude "**:dev"`},
		"no image":                    {parsed.ExcludesImage(""), "not in images.include"},
		"a namespace included":        {parsed.ExcludesNamespace("team-a"), ""},
		"a namespace not included":    {parsed.ExcludesNamespace("default"), "not in namespaces.include"},
		"a namespace excluded":        {parsed.ExcludesNamespace("team-b"), `namespaces.exclude "team-b"`},
		"a pod selected":              {parsed.ExcludesPod(map[string]string{"app": "b"}), `pods.exclude "app in (a, b),!tier"`},
		"a pod not selected":          {parsed.ExcludesPod(map[string]string{"app": "b", "tier": "1"}), ""},
		"a pod without labels":        {parsed.ExcludesPod(nil), ""},
		"a pod of the defaults":       {parsed.ExcludesPod(map[string]string{"application": "spilo"}), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: excluded by %q, want %q", name, tt.got, tt.want)
		}
	}
}

func TestRules_ZeroExcludesNothing(t *testing.T) {
	t.Parallel()
	var parsed rules.Rules
	got := parsed.ExcludesImage("docker.io/library/a:1") + parsed.ExcludesNamespace("a") + parsed.ExcludesPod(map[string]string{"a": "b"})
	if got != "" {
		t.Errorf("the zero Rules exclude something by %q, want no such rule", got)
	}
}

func TestRules_ApplyFieldsChangedAfterParsing(t *testing.T) {
	t.Parallel()
	parsed := rules.Default()
	parsed.Images.Exclude = []string{"a"}
	parsed.Pods.Exclude = []string{"b=c", "no selector"}
	if got, want := parsed.ExcludesImage("docker.io/library/a:1"), `images.exclude "a"`; got != want {
		t.Errorf("ExcludesImage = %q, want %q", got, want)
	}
	if got, want := parsed.ExcludesPod(map[string]string{"b": "c", "cnpg.io/podRole": "x"}), `pods.exclude "b=c"`; got != want {
		t.Errorf("ExcludesPod = %q, want %q", got, want)
	}
	if got := parsed.ExcludesPod(map[string]string{"cnpg.io/podRole": "x"}); got != "" {
		t.Errorf("ExcludesPod = %q, want \"\", because that selector was replaced", got)
	}
}

func TestDefault_ExcludesPodsOfOperatorsThatCompareImages(t *testing.T) {
	t.Parallel()
	for _, labels := range []map[string]string{{"cnpg.io/podRole": "instance"}, {"application": "spilo"}} {
		if rules.Default().ExcludesPod(labels) == "" {
			t.Errorf("ExcludesPod(%v) = \"\", want a rule", labels)
		}
	}
}

func TestString_ParsesToTheSameRules(t *testing.T) {
	t.Parallel()
	zero := rules.Rules{AlwaysPull: rules.AlwaysPullUpstream, LoopGuard: rules.Default().LoopGuard}
	for name, parsed := range map[string]rules.Rules{
		"the defaults":  rules.Default(),
		"an empty list": zero,
		"other values":  parse(t, "images: {include: [a], exclude: ['*/b']}\nnamespaces: {exclude: [c]}\nloopGuard: {recreations: 0}"),
	} {
		if diff := cmp.Diff(parsed, parse(t, parsed.String())); diff != "" {
			t.Errorf("%s: Parse(String()) (-want +got):\n%s", name, diff)
		}
	}
}

func BenchmarkExcludesImage(b *testing.B) {
	parsed, err := rules.Parse("rules.yaml", []byte("images: {exclude: [quay.io/**, nginx, 'acme/*:dev', '**:debug', 'reg.corp:5000/a/**/b']}"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got := parsed.ExcludesImage("docker.io/laconicnetwork/agave:local"); got != "" {
			b.Fatal(got)
		}
	}
}

func BenchmarkExcludesPod(b *testing.B) {
	parsed := rules.Default()
	labels := map[string]string{"app": "a", "pod-template-hash": "5d4f8c7b9"}
	for b.Loop() {
		if got := parsed.ExcludesPod(labels); got != "" {
			b.Fatal(got)
		}
	}
}

// FuzzRules checks that parsed rules survive String and Parse unchanged, and that no document or name causes a panic.
func FuzzRules(f *testing.F) {
	f.Add(rules.Default().String(), "docker.io/library/nginx:1.27")
	f.Add("images: {include: [a, 'b:*'], exclude: ['{a,b}/**@sha256:*']}\nnamespaces: {exclude: ['*']}", "a/b@sha256:1")
	f.Add("pods: {exclude: [a in (b), '!c']}\nloopGuard: {recreations: 1, within: 1h2m}\nalwaysPull: Host", "")
	f.Add(strings.Repeat("images: &a\n  include: [*a]\n", 2), "x")
	f.Fuzz(func(t *testing.T, document, name string) {
		parsed, err := rules.Parse("rules.yaml", []byte(document))
		if err != nil {
			return
		}
		again, err := rules.Parse("rules.yaml", []byte(parsed.String()))
		if diff := cmp.Diff(parsed, again); err != nil || diff != "" {
			t.Errorf("Parse(String()): %v, (-want +got):\n%s\nof:\n%s", err, diff, parsed)
		}
		_ = parsed.ExcludesImage(name) + parsed.ExcludesNamespace(name) + parsed.ExcludesPod(map[string]string{name: name})
	})
}

func TestExcludesRestart_NamesTheRule(t *testing.T) {
	t.Parallel()
	parsed := parse(t, "restartOnRebuild: {images: {exclude: ['**/db']}, namespaces: {include: ['dev-*']}}")
	for name, tt := range map[string]struct{ namespace, image, want string }{
		"neither":               {"dev-a", "docker.io/example/app:1", ""},
		"an excluded image":     {"dev-a", "docker.io/example/db:1", `restartOnRebuild.images.exclude "**/db"`},
		"an excluded namespace": {"prod", "docker.io/example/app:1", "not in restartOnRebuild.namespaces.include"},
	} {
		if got := parsed.ExcludesRestart(tt.namespace, tt.image); got != tt.want {
			t.Errorf("%s: ExcludesRestart(%q, %q) = %q, want %q", name, tt.namespace, tt.image, got, tt.want)
		}
	}
	if got := rules.Default().ExcludesRestart("prod", "docker.io/example/db:1"); got != "" {
		t.Errorf("by default, ExcludesRestart = %q, want nothing", got)
	}
}
