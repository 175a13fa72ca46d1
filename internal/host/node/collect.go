package node

import (
	"context"

	"kind-local-registry/internal/host/bundle"
)

// reports are the files about a node in a bundle for a bug report, and the scripts that print them.
var reports = []struct{ file, script string }{
	{"containerd.toml", `cat ` + ContainerdConfig},
	{"containerd.unit", `systemctl cat containerd`},
	{"kubelet.yaml", `cat ` + KubeletConfig},
	{"hosts.txt", `for f in ` + CertsDir + `/*/hosts.toml; do if [ -e "$f" ]; then echo "== $f"; cat "$f"; fi; done`},
	{"names.txt", `cat /etc/hosts /etc/resolv.conf`},
	{"versions.txt", `containerd --version; crictl --version; kubelet --version; uname -a`},
	{"disk.txt", `df -h / /var/lib/containerd; df -i /var/lib/containerd`},
	{"containerd.log", `journalctl --unit containerd --no-pager --lines 2000`},
	{"kubelet.log", `journalctl --unit kubelet --no-pager --lines 2000`},
}

// Sources returns the files about the node for a bug report: the configuration of containerd and the kubelet, every hosts.toml,
// names, versions and logs.
func (n Node) Sources() []bundle.Source {
	var sources []bundle.Source
	for _, report := range reports {
		sources = append(sources, bundle.Source{
			Path: "nodes/" + n.Name + "/" + report.file,
			Read: func(ctx context.Context) ([]byte, error) { return n.Run(ctx, report.script) },
		})
	}
	return sources
}
