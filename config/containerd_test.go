package config

import (
	"bytes"
	"errors"
	"testing"
)

func TestHasCertsDir(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dump    string
		want    bool
		wantErr error
	}{
		"containerd 2.2 and later has it by default": {
			dump: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n",
			want: true,
		},
		"containerd 2.0 and 2.1 do not": {
			dump: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ''\n",
		},
		"containerd 1.7 that was told to": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n",
			want: true,
		},
		"another directory is not ours": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/docker/certs.d'\n",
		},
		"an empty table of mirrors does no harm": {
			dump: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors]\n",
			want: true,
		},
		"mirrors exclude it": {
			dump:    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'localhost:5001']\nendpoint = ['http://kind-registry:5000']\n",
			wantErr: ErrMirrors,
		},
		"no image service at all": {dump: "version = 2\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := HasCertsDir([]byte(test.dump))
			if got != test.want || !errors.Is(err, test.wantErr) {
				t.Errorf("HasCertsDir = %t, %v; want %t, %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

func TestHasCertsDir_RefusesWhatIsNotTOML(t *testing.T) {
	t.Parallel()
	if _, err := HasCertsDir([]byte("<html>")); err == nil {
		t.Error("HasCertsDir accepts a page of HTML")
	}
}

func TestWithCertsDir_SetsItAndKeepsTheRest(t *testing.T) {
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
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed, err := WithCertsDir([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			if has, err := HasCertsDir(changed); !has || err != nil {
				t.Errorf("HasCertsDir = %t, %v after WithCertsDir:\n%s", has, err, changed)
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
