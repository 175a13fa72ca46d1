package kindconfig

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	sigsyaml "sigs.k8s.io/yaml"

	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/yamltext"
)

// APIVersion is the only version of kind's configuration that kind supports.
const APIVersion = "kind.x-k8s.io/v1alpha4"

// Default is kind's default configuration, which has one node.
const Default = "kind: Cluster\napiVersion: " + APIVersion + "\n"

const reference = "see https://kind.sigs.k8s.io/docs/user/configuration/"

// The patches that Merge adds. Their comments tell the reader who added them, and why.
const (
	cgroupPatch = "# Added by setup kind-config: on a host with cgroup v1, the kubelet of Kubernetes 1.35 and later needs this to start.\n" +
		"kind: KubeletConfiguration\nfailCgroupV1: false\n"
	certsDirPatch = "# Added by setup kind-config: containerd before 2.2 reads hosts.toml only if it is told where.\n" +
		"[plugins.\"" + node.CRIPlugin + "\".registry]\n  config_path = \"" + certsDir + "\"\n"
)

// The fields to which Merge adds patches.
const kubeadmField, containerdField = "kubeadmConfigPatches", "containerdConfigPatches"

// addition is a patch to add to a field of the configuration, before the field's other patches.
type addition struct{ field, patch string }

// Merge returns the text of a kind configuration with the patches that nodes need to pull from the registry, unless the
// configuration contains them. cgroupV1 means that the Docker host uses cgroup v1. The text may contain several documents; only
// those for kind change. The error includes a remedy if a patch in the configuration keeps a node from the registry.
func Merge(text string, cgroupV1 bool) (string, error) {
	var merged strings.Builder
	var clusters int
	for _, one := range yamltext.Split(text) {
		changed, found, err := part(one).merge(cgroupV1)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", one.Line, err)
		}
		if found {
			clusters++
		}
		merged.WriteString(changed)
	}
	if clusters == 0 {
		return "", step.Remedy(fmt.Errorf("no document has kind Cluster and apiVersion %s", APIVersion), reference)
	}
	return merged.String(), nil
}

// merge returns the part's text with the patches, and whether the part is a kind configuration.
func (p part) merge(cgroupV1 bool) (text string, found bool, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(p.Text), &document); err != nil {
		return "", false, fmt.Errorf("parsing YAML: %w", err)
	}
	switch version := p.kindVersion(); version {
	case "":
		return p.Text, false, nil
	case APIVersion:
	default:
		return "", false, step.Remedy(fmt.Errorf("apiVersion %s, want %s", version, APIVersion), reference)
	}
	before, err := parse(p.Text)
	if err != nil {
		return "", false, step.Remedy(err, reference)
	}
	added, err := missing(before, cgroupV1)
	if err != nil || len(added) == 0 {
		return p.Text, true, err
	}
	want := with(before, added)
	for _, write := range []func(*yaml.Node, []addition) (string, error){p.insert, p.encode} {
		if text, err = write(document.Content[0], added); err != nil {
			continue
		}
		if after, fault := parse(text); fault == nil && reflect.DeepEqual(after, want) {
			return text, true, nil
		}
	}
	return "", true, step.Remedy(fmt.Errorf("the patches cannot be added to this text: %w", errText),
		"write "+kubeadmField+" and "+containerdField+" as block sequences, one entry a line")
}

// with returns the configuration with the patches.
func with(cluster *v1alpha4.Cluster, added []addition) *v1alpha4.Cluster {
	changed := cluster.DeepCopy()
	for _, one := range added {
		patches := &changed.KubeadmConfigPatches
		if one.field == containerdField {
			patches = &changed.ContainerdConfigPatches
		}
		*patches = slices.Insert(*patches, 0, one.patch)
	}
	return changed
}

// kindVersion returns the apiVersion of a kind configuration, or "" if the part is another document.
func (p part) kindVersion() string {
	var object struct{ Kind, APIVersion string }
	err := sigsyaml.Unmarshal([]byte(p.Text), &object)
	if err != nil || object.Kind != "Cluster" || !strings.HasPrefix(object.APIVersion, "kind.") {
		return ""
	}
	return object.APIVersion
}

// parse parses a kind configuration and rejects unknown fields.
func parse(text string) (*v1alpha4.Cluster, error) {
	cluster := &v1alpha4.Cluster{}
	if err := sigsyaml.UnmarshalStrict([]byte(text), cluster); err != nil {
		return nil, fmt.Errorf("parsing kind configuration: %w", err)
	}
	return cluster, nil
}

// missing returns the patches that the configuration lacks.
func missing(cluster *v1alpha4.Cluster, cgroupV1 bool) ([]addition, error) {
	var added []addition
	if cgroupV1 && !slices.ContainsFunc(cluster.KubeadmConfigPatches, setsFailCgroupV1) {
		added = append(added, addition{kubeadmField, cgroupPatch})
	}
	reads, err := readsCertsDir(cluster)
	if err == nil && !reads {
		added = append(added, addition{containerdField, certsDirPatch})
	}
	return added, err
}

// setsFailCgroupV1 reports whether a kubeadm patch sets the kubelet's failCgroupV1.
func setsFailCgroupV1(patch string) bool {
	var parsed struct {
		Kind         string
		FailCgroupV1 *bool
	}
	err := sigsyaml.Unmarshal([]byte(patch), &parsed)
	return err == nil && parsed.Kind == "KubeletConfiguration" && parsed.FailCgroupV1 != nil
}
