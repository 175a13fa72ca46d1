package similar_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/internal/similar"
)

func TestFind_RecognisesTypingErrors(t *testing.T) {
	t.Parallel()
	for wanted, meant := range map[string]string{
		"example/helo:local":               "example/hello:local", // a missing letter
		"example/helllo:local":             "example/hello:local", // an added letter
		"example/hallo:local":              "example/hello:local", // another letter
		"amce/hello:local":                 "acme/hello:local",    // two letters in the wrong order
		"example/hello:locl":               "example/hello:local", // in the tag
		"amce/helo:local":                  "acme/hello:local",    // in two words
		"example/hello:Local":              "example/hello:local", // upper case
		"helo":                             "hello",               // without a namespace and a tag
		"docker.io/library/helo:latest":    "hello",               // in another form
		"example/backend-contrloler:dev":   "example/backend-controller:dev",
		"example/authentiction-servce:dev": "example/authentication-service:dev",
		"example/my-app:dev":               "example/myapp:dev",
		"example/my_app:dev":               "example/my-app:dev",
		"gchr.io/acme/app:1.2":             "ghcr.io/acme/app:1.2",
		"localhost:5000/acme/servre:v3":    "localhost:5000/acme/server:v3",
		"ngnix:1.29-alpine":                "nginx:1.29-alpine",
		"nginx:1.29-apline":                "nginx:1.29-alpine",
	} {
		matches := similar.Find(rewritetest.Name(t, wanted), []rewrite.Name{rewritetest.Name(t, meant)})
		if len(matches) != 1 || !matches[0].Typo {
			t.Errorf("Find(%q, %q) = %+v, want a typing error", wanted, meant, matches)
		}
	}
}

func TestFind_TellsOrdinaryNamesFromTypingErrors(t *testing.T) {
	t.Parallel()
	for wanted, onHost := range map[string]string{
		"nginx:1.29":                             "nginx:1.28",
		"nginx":                                  "nginx:1.28",
		"redis:8":                                "redis:7",
		"alpine:3.2":                             "alpine:3.20",
		"postgres:16-alpine":                     "postgres:17-alpine",
		"postgres:16":                            "postgis/postgis:16",
		"node:22-alpine":                         "node:20-alpine",
		"node:22-slim":                           "node:22-alpine",
		"golang:1.26-bookworm":                   "golang:1.26-bullseye",
		"python:3.14-slim":                       "python:3.14",
		"bitnami/redis:8":                        "redis:8",
		"bitnami/mysql:9":                        "bitnami/mariadb:9",
		"mysql:9":                                "mcr.microsoft.com/mssql/server:9",
		"mongo:8":                                "mongo-express:8",
		"golang:latest":                          "erlang:latest",
		"photon:latest":                          "python:latest",
		"registry.k8s.io/kube-proxy-amd64:v1.3":  "registry.k8s.io/kube-proxy-arm64:v1.3",
		"registry.k8s.io/pause:3.10":             "registry.k8s.io/pause:3.1",
		"registry.k8s.io/kube-apiserver:v1.37.2": "registry.k8s.io/kube-apiserver:v1.37.1",
		"registry.k8s.io/kube-controller-manager:v1.37.2":  "registry.k8s.io/kube-scheduler:v1.37.2",
		"registry.k8s.io/ingress-nginx/controller:v1.12.0": "registry.k8s.io/ingress-nginx/controller:1.12.0",
		"quay.io/jetstack/cert-manager-controller:v1.20.0": "quay.io/jetstack/cert-manager-cainjector:v1.20.0",
		"quay.io/prometheus/prometheus:v3.5.0":             "quay.io/prometheus/alertmanager:v3.5.0",
		"grafana/loki:3.5.0":                               "grafana/tempo:3.5.0",
		"gcr.io/distroless/static:nonroot":                 "ghcr.io/distroless/static:nonroot",
		"ghcr.io/fluxcd/source-controller:v1.7.0":          "ghcr.io/fluxcd/kustomize-controller:v1.7.0",
		"quay.io/cilium/operator-aws:v1.18.0":              "quay.io/cilium/operator-azure:v1.18.0",
		"example/hello:dev":                                "example/hello:local",
		"example/hello:local1":                             "example/hello:local2",
		"example/app-a:local":                              "example/app-b:local",
		"example/hello:v1":                                 "example/hello:v1-alpine",
		"example/hello:main-0123456789ab":                  "example/hello:main-fedcba987654",
		"example/web:local":                                "example/api:local",
		"example/hello-client:local":                       "example/hello-server:local",
		"example/hello:local":                              "example/hello:local",
	} {
		for _, match := range similar.Find(rewritetest.Name(t, wanted), []rewrite.Name{rewritetest.Name(t, onHost)}) {
			if match.Typo {
				t.Errorf("Find(%q, %q) finds a typing error, want none", wanted, onHost)
			}
		}
	}
}

func TestFind_ReturnsTheMostSimilarNames(t *testing.T) {
	t.Parallel()
	for wanted, tt := range map[string]struct{ onHost, want []string }{
		"example/hello:local": {
			[]string{"example/hello:v1", "exampla/helo:local", "example/hello:locale", "acme/hello:local", "example/helo:local"},
			[]string{"example/hello:locale", "example/helo:local", "exampla/helo:local"},
		},
		"example/hello":     {[]string{"example/other:local", "example/hello:stable", "example/hello:latest1"}, []string{"example/hello:latest1", "example/hello:stable"}},
		"example/helo":      {[]string{"example/hello:local", "acme/helo", "example/helios:local"}, []string{"example/hello:local"}},
		"hello:local":       {[]string{"example/hello:local", "example/hello:dev", "example.com/hello:local"}, []string{"example/hello:local", "example.com/hello:local"}},
		"example/app:local": {[]string{"example/web:local", "nginx"}, nil},
	} {
		var among []rewrite.Name
		for _, image := range tt.onHost {
			among = append(among, rewritetest.Name(t, image))
		}
		var got []string
		for _, match := range similar.Find(rewritetest.Name(t, wanted), among) {
			got = append(got, match.Name.Familiar())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Find(%q) (-want +got):\n%s", wanted, diff)
		}
	}
}

// FuzzFind checks that Find never panics, and that a typing error is one in both directions.
func FuzzFind(f *testing.F) {
	for _, pair := range [][2]string{
		{"example/helo:local", "example/hello:local"},
		{"a__5000/x", "a:5000/x"},
		{"nginx", "nginx:1.28"},
		{"a.b-c_d/e", "ab/cde"},
		{"ghcr.io/a/b:1", "gchr.io/a/b:2"},
		{"Host/x:A", "host/x:a"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, errOne := rewrite.Parse(a)
		two, errTwo := rewrite.Parse(b)
		if errOne != nil || errTwo != nil {
			return
		}
		there, back := similar.Find(one, []rewrite.Name{two}), similar.Find(two, []rewrite.Name{one})
		if len(there) != len(back) || len(there) == 1 && there[0].Typo != back[0].Typo {
			t.Errorf("Find(%q, %q) = %+v, and in the other direction %+v", a, b, there, back)
		}
		if same := similar.Find(one, []rewrite.Name{one}); len(same) > 0 {
			t.Errorf("Find(%q) finds the name itself", a)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	var among []rewrite.Name
	for i := range 1000 {
		among = append(among, rewritetest.Name(b, fmt.Sprintf("registry.example.com/team/service-%d:v1.%d", i%100, i)))
	}
	wanted := rewritetest.Name(b, "registry.example.com/team/servcie-7:v1.7")
	for b.Loop() {
		similar.Find(wanted, among)
	}
}
