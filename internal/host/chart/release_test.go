package chart

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube/fake"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"

	"kind-local-registry/config"
)

func TestLastValues_AreThoseOfTheNewestRelease(t *testing.T) {
	t.Parallel()
	configuration := action.NewConfiguration()
	configuration.Releases = storage.Init(driver.NewMemory())
	configuration.KubeClient = &fake.PrintingKubeClient{Out: io.Discard, LogOutput: io.Discard}
	if values, err := lastValues(configuration); err != nil || values != nil {
		t.Errorf("without a release: lastValues = %v, %v, want none", values, err)
	}
	for version, on := range []bool{false, true} {
		err := configuration.Releases.Create(&release.Release{
			Name: config.Name, Namespace: config.Name, Version: version + 1, Config: map[string]any{restartKey: on},
			Info: &release.Info{Status: common.StatusDeployed},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	values, err := lastValues(configuration)
	if diff := cmp.Diff(map[string]any{restartKey: true}, values); err != nil || diff != "" {
		t.Errorf("lastValues: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestRestartOnRebuild_IsWhatTheUserChose(t *testing.T) {
	t.Parallel()
	for _, chosen := range []bool{false, true} {
		c := &Chart{options: Options{RestartOnRebuild: &chosen}}
		if got, err := c.restartOnRebuild(); err != nil || got != chosen {
			t.Errorf("restartOnRebuild = %v, %v, want %v", got, err, chosen)
		}
	}
}
