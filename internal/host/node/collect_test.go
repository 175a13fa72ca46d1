package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/bundle"
)

// TestSources_HideAProxysPassword collects a unit whose proxies have passwords: in a URL, without a scheme, and with characters
// that a URL would have to escape.
func TestSources_HideAProxysPassword(t *testing.T) {
	t.Parallel()
	const unit = `# /etc/systemd/system/containerd.service.d/proxy.conf
[Service]
Environment="HTTP_PROXY=http://USERproxy.example:3128" "NO_PROXY=10.0.0.0/8,kind-registry"
Environment=https_proxy=USERproxy.example:3128
Environment='ALL_PROXY=socks5://USERproxy.example'
`
	for _, user := range []string{"me:secret@", "me@", "me:s3cr%%40et@", "me:p@ss@", "me:it's@", "me:a/b@"} {
		r := newRoot(t, readsIt)
		r.write(t, "/bin/systemctl", "#!/bin/sh\nif [ \"$*\" = 'cat containerd' ]; then cat \"$ROOT/run/unit\"; fi\n")
		r.makeExecutable(t, "systemctl")
		r.write(t, "/run/unit", strings.ReplaceAll(unit, "USER", user))
		directory := t.TempDir()
		if _, err := bundle.Write(t.Context(), directory, bundle.NewRedactor(), Node{Name: "n", Runner: r}.Sources(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(directory, "nodes/n/containerd.unit"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(unit, "USER", bundle.Redacted+"@"), string(got)); diff != "" {
			t.Errorf("containerd.unit with user %s (-want +got):\n%s", user, diff)
		}
	}
}
