package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/bundle"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// Export writes files for a bug report to the directory, which must not exist or be empty. begun is called with each file's path. If
// Docker cannot be used, the bundle contains only the reason.
func Export(ctx context.Context, options Options, directory string, begun func(path string)) (report.Export, error) {
	if err := bundle.Prepare(directory); err != nil {
		return report.Export{}, err
	}
	about := document("setup.json", func(context.Context) (any, error) { return map[string]string{"version": config.Version}, nil })
	if err := unusable(ctx); err != nil {
		found := document("doctor.json", func(ctx context.Context) (any, error) {
			return withoutDocker(ctx, err, func(string) {})
		})
		return bundle.Write(ctx, directory, bundle.NewRedactor(), []bundle.Source{about, found}, begun)
	}
	system, err := Open(ctx, options)
	if err != nil {
		return report.Export{}, err
	}
	sources := append([]bundle.Source{about}, system.sources(ctx)...)
	return bundle.Write(ctx, directory, bundle.NewRedactor(system.knownSecrets(ctx)...), sources, begun)
}

// sources lists the bundle's files. If a list of nodes or pods cannot be read, the bundle contains the error instead.
func (s *System) sources(ctx context.Context) []bundle.Source {
	sources := []bundle.Source{
		document("docker.json", func(ctx context.Context) (any, error) { return s.engine.About(ctx) }),
		document("status.json", func(ctx context.Context) (any, error) { return s.status(ctx), nil }),
		document("doctor.json", func(ctx context.Context) (any, error) { return s.diagnose(ctx, func(string) {}) }),
	}
	names := []string{config.RegistryContainer, config.PusherContainer, config.LinkerContainer}
	for _, name := range names {
		sources = append(sources, bundle.Source{Path: "containers/" + name + ".log", Read: func(ctx context.Context) ([]byte, error) {
			return s.engine.Logs(ctx, name, bundle.LogLines)
		}})
	}
	nodes, err := s.cluster.Nodes()
	if err != nil {
		sources = append(sources, failed("nodes", err))
	}
	for _, one := range nodes {
		names = append(names, one.Name)
		sources = append(sources, one.Sources()...)
	}
	for _, name := range names {
		sources = append(sources, document("containers/"+name+".json", func(ctx context.Context) (any, error) { return s.inspect(ctx, name) }))
	}
	inside, err := s.chart.Sources(ctx)
	if err != nil {
		return append(sources, failed("cluster", err))
	}
	return append(sources, inside...)
}

// unobserved is an observer of checks that does nothing.
type unobserved struct{}

// Begin implements step.CheckObserver.
func (unobserved) Begin(string) {}

// Checked implements step.CheckObserver.
func (unobserved) Checked(step.Status) {}

// status returns the document of setup status.
func (s *System) status(ctx context.Context) report.Status {
	all := step.CheckAll(ctx, s.Steps(), unobserved{})
	failed := slices.ContainsFunc(all, func(one step.Status) bool { return !one.OK })
	return report.Status{Facts: s.Facts(ctx), OK: !failed, Checks: report.Checks(all)}
}

// document returns a source whose content is a JSON document.
func document(path string, read func(context.Context) (any, error)) bundle.Source {
	return bundle.Source{Path: path, Read: func(ctx context.Context) ([]byte, error) {
		value, err := read(ctx)
		if err != nil {
			return nil, err
		}
		var content bytes.Buffer
		encoder := json.NewEncoder(&content)
		encoder.SetEscapeHTML(false) // < in a redacted value
		encoder.SetIndent("", "  ")
		err = encoder.Encode(value)
		return content.Bytes(), err
	}}
}

// failed returns a source that fails.
func failed(path string, err error) bundle.Source {
	return bundle.Source{Path: path, Read: func(context.Context) ([]byte, error) { return nil, err }}
}

// inspect returns what docker inspect prints about a container, without the values of environment variables that may be secret.
func (s *System) inspect(ctx context.Context, name string) (container.InspectResponse, error) {
	found, err := s.engine.Find(ctx, name)
	if err != nil {
		return container.InspectResponse{}, err
	}
	if found == nil {
		return container.InspectResponse{}, fmt.Errorf("container %s %w", name, step.ErrMissing)
	}
	if found.Config != nil {
		for i, entry := range found.Config.Env {
			variable, value, _ := strings.Cut(entry, "=")
			found.Config.Env[i] = variable + "=" + bundle.Variable(variable, value)
		}
	}
	return found.InspectResponse, nil
}

// knownSecrets returns the secrets that setup itself made. It returns those that it can read.
func (s *System) knownSecrets(ctx context.Context) []string {
	known, err := s.chart.KnownSecrets(ctx)
	if err != nil {
		known = nil
	}
	if credentials, err := s.pusher.Credentials(ctx); err == nil {
		known = append(known, string(credentials.ServerKey), string(credentials.ClientKey))
	}
	return known
}
