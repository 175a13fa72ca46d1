package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const proxyKubeconfig = `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://10.96.0.1"PROXY}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {}}]
`

func TestFindCluster_UsesOnlyTheKubeconfigsProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://environment:3128")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	t.Setenv("KUBECONFIG", file)
	for setting, want := range map[string]string{"": "", `, proxy-url: "http://kubeconfig:3128"`: "http://kubeconfig:3128"} {
		content := strings.Replace(proxyKubeconfig, "PROXY", setting, 1)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		cluster, err := findCluster()
		if err != nil {
			t.Fatal(err)
		}
		if cluster.Proxy == nil {
			t.Fatalf("kubeconfig with %q: client-go would use the proxy in HTTPS_PROXY", setting)
		}
		proxy, err := cluster.Proxy(httptest.NewRequest(http.MethodGet, cluster.Host, nil))
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if got != want || err != nil {
			t.Errorf("kubeconfig with %q: proxy %q, %v; want %q", setting, got, err, want)
		}
	}
}
