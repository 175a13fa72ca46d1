package livepod_test

import (
	"testing"

	"kind-local-registry/webhook/livepod"
)

func TestParse_AcceptsKubectlsForms(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]string{
		"pod/web": "pod/web", "po/web": "pod/web", "pods/web-1.x": "pod/web-1.x", "deployment.apps/web": "deployment/web",
		"deploy/web": "deployment/web", "Deployment/web": "deployment/web", "sts/db": "statefulset/db", "ds/agent": "daemonset/agent",
		"rs/web-1": "replicaset/web-1", "job.batch/once": "job/once", "cj/nightly": "cronjob/nightly",
	} {
		if got, ok := livepod.Parse(argument); !ok || got.String() != want {
			t.Errorf("Parse(%q) = %s, %v, want %s", argument, got, ok, want)
		}
	}
}

func TestParse_LeavesImagesAlone(t *testing.T) {
	t.Parallel()
	for _, argument := range []string{
		"web", "pod/web:1", "pod/web@sha256:0", "library/nginx", "/web", "pod/", "pod/a/b", "pod.apps/web", "deployment.batch/web",
		"localhost:5001/web", "pod/Web", "-",
	} {
		if got, ok := livepod.Parse(argument); ok {
			t.Errorf("Parse(%q) = %s, want no target", argument, got)
		}
	}
}
