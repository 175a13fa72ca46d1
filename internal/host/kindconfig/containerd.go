package kindconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/pelletier/go-toml/v2"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

const certsDir = node.CertsDir

// CheckContainerd returns an error with a remedy if the containerd patches of a kind configuration contain registry settings that
// keep containerd from reading hosts.toml.
func CheckContainerd(cluster *v1alpha4.Cluster) error {
	_, err := registryOf(cluster.ContainerdConfigPatches, cluster.ContainerdConfigPatchesJSON6902)
	return err
}

// readsCertsDir reports whether the patches make every version of containerd read hosts.toml. It returns an error if a patch
// prevents that, even if certsDirPatch is added.
func readsCertsDir(cluster *v1alpha4.Cluster) (bool, error) {
	patches, patches6902 := cluster.ContainerdConfigPatches, cluster.ContainerdConfigPatchesJSON6902
	registry, err := registryOf(patches, patches6902)
	if err != nil || node.HasCertsDir(registry) {
		return err == nil, err
	}
	if registry, err = registryOf(slices.Insert(slices.Clone(patches), 0, certsDirPatch), patches6902); err != nil || node.HasCertsDir(registry) {
		return false, err
	}
	err = fmt.Errorf("a containerd patch sets registry.config_path to %q, where our hosts.toml is not", registry["config_path"])
	return false, step.Remedy(err, fmt.Sprintf("append :%s to it", certsDir))
}

// registryOf returns the registry table that the patches produce in containerd's file. It returns an error with a remedy if a table
// excludes config_path.
func registryOf(patches, patches6902 []string) (map[string]any, error) {
	document := map[string]any{}
	for _, patch := range patches {
		table := map[string]any{}
		if err := toml.Unmarshal([]byte(patch), &table); err != nil {
			return nil, step.Remedy(fmt.Errorf("parsing an entry of containerdConfigPatches: %w", err), "write it in TOML")
		}
		if err := checkRegistry(table); err != nil {
			return nil, err
		}
		if version, ok := table["version"].(int64); !ok || version == 2 { // kind skips patches for other versions
			mergeTables(document, table)
		}
	}
	for _, patch := range patches6902 {
		operations, err := jsonpatch.DecodePatch([]byte(patch))
		if err != nil {
			return nil, step.Remedy(fmt.Errorf("parsing an entry of containerdConfigPatchesJSON6902: %w", err), "write it in JSON, as in RFC 6902")
		}
		for _, operation := range operations {
			if err := place(document, operation); err != nil {
				return nil, err
			}
		}
	}
	if err := checkRegistry(document); err != nil {
		return nil, err
	}
	return child(document, "plugins", node.CRIPlugin, "registry"), nil
}

// checkRegistry returns an error with a remedy if containerd would reject config_path together with the registry settings.
func checkRegistry(document map[string]any) error {
	for _, plugin := range []string{node.CRIPlugin, node.ImagesPlugin} {
		registry := child(document, "plugins", plugin, "registry")
		if mirrors := child(registry, "mirrors"); len(mirrors) > 0 {
			return step.Remedy(node.ErrMirrors, remedy(slices.Sorted(maps.Keys(mirrors))))
		}
		configs := child(registry, "configs")
		for _, host := range slices.Sorted(maps.Keys(configs)) {
			if len(child(configs, host, "tls")) > 0 {
				return step.Remedy(node.ErrTLS, remedy([]string{host}))
			}
		}
	}
	return nil
}

// remedy returns what to do about obsolete registry settings for the hosts.
func remedy(hosts []string) string {
	return fmt.Sprintf("remove them from the patch, and describe %s in %s/%s/hosts.toml, which extraMounts can put on the nodes "+
		"(a mirror of localhost can simply be removed); see https://github.com/containerd/containerd/blob/main/docs/hosts.md",
		strings.Join(hosts, ", "), certsDir, hosts[0])
}

// place applies a JSON Patch operation to tables. Tables on the way to the operation's target are created, because the file to
// which kind applies the operation has more tables than the patches do. Operations on lists are ignored.
func place(document map[string]any, operation jsonpatch.Operation) error {
	path, err := operation.Path()
	if err != nil {
		return fmt.Errorf("reading containerdConfigPatchesJSON6902: %w", err)
	}
	keys := strings.Split(strings.TrimPrefix(path, "/"), "/")
	table := document
	for i, key := range keys {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		if i < len(keys)-1 {
			next, ok := table[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				table[key] = next
			}
			table = next
			continue
		}
		switch operation.Kind() {
		case "add", "replace":
			if table[key], err = operation.ValueInterface(); err != nil {
				return fmt.Errorf("reading containerdConfigPatchesJSON6902: %s: %w", path, err)
			}
		case "remove":
			delete(table, key)
		}
	}
	return nil
}

// mergeTables merges a TOML merge patch into tables, as in RFC 7386.
func mergeTables(into, patch map[string]any) {
	for key, value := range patch {
		inner, isTable := value.(map[string]any)
		outer, wasTable := into[key].(map[string]any)
		switch {
		case isTable && wasTable:
			mergeTables(outer, inner)
		case isTable:
			copied := map[string]any{}
			mergeTables(copied, inner)
			into[key] = copied
		default:
			into[key] = value
		}
	}
}

// child returns the table at a path of keys, or nil if there is none.
func child(table map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		table, _ = table[key].(map[string]any)
	}
	return table
}
