package node

import (
	"bytes"
	"errors"
	"testing"
)

func TestReadsCertsDir(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version string
		dump    string
		want    bool
		wantErr error
	}{
		"containerd 2.2 does by default and shows it": {
			dump: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n",
			want: true,
		},
		"containerd 2.3 does by default and does not show it": {
			version: "containerd github.com/containerd/containerd/v2 v2.3.4 1a2b3c",
			dump:    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ''\n",
			want:    true,
		},
		"containerd 2.3 with other registry settings does not": {
			version: "containerd github.com/containerd/containerd/v2 v2.3.4 1a2b3c",
			dump:    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ''\n[plugins.'io.containerd.cri.v1.images'.registry.configs.'a.example'.tls]\nca_file = 'x'\n",
		},
		"containerd 2.1 does not": {
			version: "containerd github.com/containerd/containerd/v2 v2.1.4 1a2b3c",
			dump:    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ''\n",
		},
		"containerd 1.7 does not": {
			version: "containerd github.com/containerd/containerd v1.7.18 1a2b3c",
			dump:    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = ''\n",
		},
		"containerd 1.7 with config_path does": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n",
			want: true,
		},
		"another directory does not count": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/docker/certs.d'\n",
		},
		"an empty table of mirrors is no obstacle": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors]\n",
			want: true,
		},
		"mirrors exclude it": {
			dump:    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'localhost:5001']\nendpoint = ['http://kind-registry:5000']\n",
			wantErr: ErrMirrors,
		},
		"TLS settings exclude it before containerd 2.2": {
			version: "containerd github.com/containerd/containerd v1.7.18 1a2b3c",
			dump:    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'a.example'.tls]\nca_file = 'x'\n",
			wantErr: ErrTLS,
		},
		"credentials do not exclude it": {
			version: "containerd github.com/containerd/containerd v1.7.18 1a2b3c",
			dump:    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'a.example'.auth]\nusername = 'x'\n",
		},
		"no image service at all": {dump: "version = 2\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadsCertsDir(test.version, []byte(test.dump))
			if got != test.want || !errors.Is(err, test.wantErr) {
				t.Errorf("ReadsCertsDir = %t, %v; want %t, %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

func TestReadsCertsDir_RejectsInvalidTOML(t *testing.T) {
	t.Parallel()
	if _, err := ReadsCertsDir("", []byte("<html>")); err == nil {
		t.Error("ReadsCertsDir accepts an HTML page")
	}
}

func TestWithCertsDir_KeepsOtherSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, kept string }{
		"kind's file, version 2": {file: `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.high-memlock]
  base_runtime_spec = "/etc/containerd/high-memlock-spec.json"
`, kept: "/etc/containerd/high-memlock-spec.json"},
		"a file of version 3": {file: `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "registry.k8s.io/pause:3.10"
`, kept: "registry.k8s.io/pause:3.10"},
		"an empty file": {},
		"another directory": {file: `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/docker/certs.d"
`, kept: `config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed, err := WithCertsDir([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			if has, err := ReadsCertsDir("", changed); !has || err != nil {
				t.Errorf("ReadsCertsDir = %t, %v after WithCertsDir:\n%s", has, err, changed)
			}
			again, err := WithCertsDir(changed)
			if err != nil || string(again) != string(changed) {
				t.Errorf("a second WithCertsDir changes the file: %v\n%s", err, again)
			}
			if !bytes.Contains(changed, []byte(test.kept)) {
				t.Errorf("%s is lost:\n%s", test.kept, changed)
			}
		})
	}
}
