// Package charts embeds the Helm chart, so that setup installs the chart that belongs to its own version.
package charts

import (
	"embed"
	"fmt"
	"io/fs"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

//go:embed all:kind-local-registry
var files embed.FS

// Load returns the embedded chart.
func Load() (*chart.Chart, error) {
	root, err := fs.Sub(files, "kind-local-registry")
	if err != nil {
		return nil, fmt.Errorf("opening the chart: %w", err)
	}
	var buffered []*archive.BufferedFile
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, path)
		buffered = append(buffered, &archive.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the chart: %w", err)
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("loading the chart: %w", err)
	}
	return loaded, nil
}
