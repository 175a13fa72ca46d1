package node

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ContainerdConfig is containerd's configuration file on a kind node.
const ContainerdConfig = "/etc/containerd/config.toml"

// ErrMirrors means that containerd's configuration contains the obsolete registry.mirrors table. containerd rejects a
// configuration that contains both this table and config_path.
var ErrMirrors = errors.New("containerd is configured with registry.mirrors, which cannot be combined with config_path")

// ErrTLS means that containerd's configuration contains the obsolete registry.configs.HOST.tls table. containerd before 2.2 rejects
// a configuration that contains both this table and config_path.
var ErrTLS = errors.New("containerd is configured with registry.configs.tls, which cannot be combined with config_path")

// The plugins whose tables contain the image service's registry settings.
const (
	// ImagesPlugin has them in version 3 of the file and later.
	ImagesPlugin = "io.containerd.cri.v1.images"
	// CRIPlugin has them in version 2.
	CRIPlugin = "io.containerd.grpc.v1.cri"
)

// ReadsCertsDir reports whether containerd reads CertsDir. version is what "containerd --version" prints, and dump what
// "containerd config dump" prints. The error is ErrMirrors or ErrTLS if containerd cannot be configured to read CertsDir.
func ReadsCertsDir(version string, dump []byte) (bool, error) {
	tables, err := registryTables(dump)
	if err != nil {
		return false, err
	}
	byDefault := hasDefault(version)
	for _, registry := range tables {
		if isSet(registry["mirrors"]) {
			return false, ErrMirrors
		}
		if HasCertsDir(registry) {
			return true, nil
		}
		path, _ := registry["config_path"].(string)
		if path == "" && hasTLS(registry) && !hasDefault(version) {
			return false, ErrTLS
		}
		byDefault = byDefault && path == "" && !isSet(registry["configs"]) && !isSet(registry["auths"])
	}
	return byDefault, nil
}

// HasCertsDir reports whether the config_path in a registry table contains CertsDir.
func HasCertsDir(registry map[string]any) bool {
	path, _ := registry["config_path"].(string)
	return slices.Contains(strings.Split(path, ":"), CertsDir)
}

// hasTLS reports whether a registry table contains TLS settings for a host.
func hasTLS(registry map[string]any) bool {
	hosts, _ := registry["configs"].(map[string]any)
	for _, settings := range hosts {
		if host, ok := settings.(map[string]any); ok && isSet(host["tls"]) {
			return true
		}
	}
	return false
}

// isSet reports whether a table in the configuration exists and is not empty.
func isSet(table any) bool {
	entries, ok := table.(map[string]any)
	return ok && len(entries) > 0
}

var versionNumber = regexp.MustCompile(`\bv?(\d+)\.(\d+)\.\d+`)

// hasDefault reports whether this version of containerd reads CertsDir even if its configuration does not mention registries.
// Versions 2.2 and later have this default, but their dump does not show it.
func hasDefault(version string) bool {
	number := versionNumber.FindStringSubmatch(version)
	if number == nil {
		return false
	}
	major, _ := strconv.Atoi(number[1]) // both match \d+
	minor, _ := strconv.Atoi(number[2])
	return major > 2 || major == 2 && minor >= 2
}

// registryTables returns the registry settings of each image service plugin in a containerd configuration.
func registryTables(document []byte) ([]map[string]any, error) {
	var parsed struct {
		Plugins map[string]map[string]any `toml:"plugins"`
	}
	if err := toml.Unmarshal(document, &parsed); err != nil {
		return nil, fmt.Errorf("parsing containerd's configuration: %w", err)
	}
	var tables []map[string]any
	for _, plugin := range []string{ImagesPlugin, CRIPlugin} {
		if registry, ok := parsed.Plugins[plugin]["registry"].(map[string]any); ok {
			tables = append(tables, registry)
		}
	}
	return tables, nil
}

// WithCertsDir returns containerd's configuration file with CertsDir in config_path, before the directories that it contains already.
// containerd takes a registry's hosts.toml from the first directory that has one. All other settings are kept, but not the comments.
// It uses the table for the file's version; containerd itself migrates version 2.
func WithCertsDir(file []byte) ([]byte, error) {
	document := map[string]any{}
	if err := toml.Unmarshal(file, &document); err != nil {
		return nil, fmt.Errorf("parsing containerd's configuration: %w", err)
	}
	plugin := CRIPlugin
	if version, ok := document["version"].(int64); ok && version >= 3 {
		plugin = ImagesPlugin
	}
	table := document
	for _, key := range []string{"plugins", plugin, "registry"} {
		child, ok := table[key].(map[string]any)
		if !ok {
			child = map[string]any{}
			table[key] = child
		}
		table = child
	}
	if before, _ := table["config_path"].(string); before == "" {
		table["config_path"] = CertsDir
	} else if !HasCertsDir(table) {
		table["config_path"] = CertsDir + ":" + before
	}
	changed, err := toml.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing containerd's configuration: %w", err)
	}
	return changed, nil
}
