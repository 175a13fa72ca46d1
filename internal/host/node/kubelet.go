package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

const (
	// KubeletConfig is the kubelet's configuration file on a kind node.
	KubeletConfig = "/var/lib/kubelet/config.yaml"
	// imageRecords is the kubelet's directory of records about pulled images (KEP-2535).
	imageRecords = "/var/lib/kubelet/image_manager"
)

// kubeletMark is the comment before the line that setup adds to the kubelet's configuration.
const kubeletMark = "# Added by kind-local-registry; setup down removes this line and the next."

// kubeletPolicy is the line that setup adds to the kubelet's configuration. By default, the kubelet of Kubernetes 1.35 and later
// runs an image that is on the node only under the name that it was pulled as (kubernetes/kubernetes#138175). See docs/adr/0033.
const kubeletPolicy = "imagePullCredentialsVerificationPolicy: NeverVerify"

// policyGate is the feature gate without which the kubelet rejects kubeletPolicy.
const policyGate = "KubeletEnsureSecretPulledImages"

// defaultHealthzPort is the kubelet's port for health checks if its configuration sets none.
const defaultHealthzPort = 10248

// kubelet describes a node's kubelet.
type kubelet struct {
	version string // as kubelet --version prints it; "" if the node has no kubelet that is part of a cluster
	config  string
}

// kubeletSettings are the settings in the kubelet's configuration that concern pulled images.
type kubeletSettings struct {
	Policy       string          `json:"imagePullCredentialsVerificationPolicy"`
	FeatureGates map[string]bool `json:"featureGates"`
	HealthzPort  *int            `json:"healthzPort"`
}

// kubelet reads the version and the configuration of the node's kubelet.
func (n Node) kubelet(ctx context.Context) (kubelet, error) {
	printed, err := n.Run(ctx, kubeletScript, KubeletConfig)
	if err != nil {
		return kubelet{}, fmt.Errorf("reading the kubelet's configuration: %w", err)
	}
	version, config, _ := bytes.Cut(printed, []byte("\n"))
	return kubelet{string(version), string(config)}, nil
}

// CheckKubelet describes what prevents the node from running a delivered image under its original name. It returns "" if nothing
// does, or if the user has chosen it.
func (n Node) CheckKubelet(ctx context.Context) (missing string, err error) {
	found, err := n.kubelet(ctx)
	if err != nil {
		return "", err
	}
	needs, _, err := found.needsPolicy()
	if err != nil || !needs {
		return "", err
	}
	return fmt.Sprintf("the kubelet on node %s runs delivered images only under their names in the registry", n.Name), nil
}

// configureKubelet lets the node run delivered images under their original names too. If it changes the kubelet's configuration, it
// restarts the kubelet, which keeps the node's pods running. If the kubelet does not start, it restores the configuration.
func (n Node) configureKubelet(ctx context.Context) error {
	found, err := n.kubelet(ctx)
	if err != nil {
		return err
	}
	needs, settings, err := found.needsPolicy()
	if err != nil || !needs {
		return err
	}
	changed := strings.TrimSuffix(found.config, "\n") + "\n" + kubeletMark + "\n" + kubeletPolicy + "\n"
	_, err = n.Run(ctx, configureKubeletScript, KubeletConfig, changed, settings.healthz(), backup)
	if err != nil {
		return fmt.Errorf("setting the kubelet's policy for images that are on the node: %w", err)
	}
	return nil
}

// restoreKubelet removes what configureKubelet added, and the kubelet's records of images that it pulled from the registry. The
// kubelet keeps records in memory, so it is stopped meanwhile. If there is nothing to remove, the kubelet is not restarted.
func (n Node) restoreKubelet(ctx context.Context, registryHost string) error {
	found, records, err := n.kubeletLeftovers(ctx, registryHost)
	if err != nil || len(records) == 0 && !found.hasPolicy() {
		return err
	}
	arguments := append([]string{
		KubeletConfig, withoutPolicy(found.config), imageRecords, `"image":` + recordMark(registryHost),
	}, records...)
	if _, err := n.Run(ctx, restoreKubeletScript, arguments...); err != nil {
		return fmt.Errorf("restoring the kubelet's configuration: %w", err)
	}
	return nil
}

// kubeletLeftovers returns the node's kubelet, and its records of images from the registry as withoutRegistry returns them. It finds
// nothing if the node has no kubelet that is part of a cluster.
func (n Node) kubeletLeftovers(ctx context.Context, registryHost string) (found kubelet, records []string, err error) {
	if found, err = n.kubelet(ctx); err != nil || found.version == "" {
		return kubelet{}, nil, err
	}
	printed, err := n.Run(ctx, recordsScript, imageRecords, recordMark(registryHost))
	if err != nil {
		return found, nil, fmt.Errorf("reading the kubelet's records of pulled images: %w", err)
	}
	records, err = withoutRegistry(printed, registryHost)
	return found, records, err
}

// recordMark is the text with which the kubelet's records contain the name of an image in the registry.
func recordMark(registryHost string) string { return `"` + registryHost + "/" }

// needsPolicy reports whether the kubelet would run a delivered image only under its name in the registry. It returns false if the
// configuration sets a policy: that is the user's choice, or ours.
func (k kubelet) needsPolicy() (bool, kubeletSettings, error) {
	var settings kubeletSettings
	if !k.remembersPulls() {
		return false, settings, nil
	}
	if err := yaml.Unmarshal([]byte(k.config), &settings); err != nil {
		return false, settings, fmt.Errorf("parsing %s: %w", KubeletConfig, err)
	}
	enabled, set := settings.FeatureGates[policyGate]
	if beta, allBeta := settings.FeatureGates["AllBeta"]; !set && allBeta {
		enabled, set = beta, true
	}
	return settings.Policy == "" && (enabled || !set), settings, nil
}

// policyVersion is the first version in which the kubelet records by default under which names it has pulled an image.
var policyVersion = version.MustParseGeneric("1.35")

// remembersPulls reports whether the kubelet records under which names it has pulled an image.
func (k kubelet) remembersPulls() bool {
	found, err := version.ParseGeneric(strings.TrimPrefix(k.version, "Kubernetes "))
	return err == nil && found.AtLeast(policyVersion)
}

// healthz returns the URL of the kubelet's health check, or "" if the configuration turns it off.
func (s kubeletSettings) healthz() string {
	port := defaultHealthzPort
	if s.HealthzPort != nil {
		port = *s.HealthzPort
	}
	if port == 0 {
		return ""
	}
	return fmt.Sprintf("http://localhost:%d/healthz", port)
}

// hasPolicy reports whether the kubelet's configuration contains the lines that configureKubelet added.
func (k kubelet) hasPolicy() bool { return withoutPolicy(k.config) != k.config }

// withoutPolicy returns the kubelet's configuration without the lines that configureKubelet added.
func withoutPolicy(config string) string {
	return strings.Replace(config, kubeletMark+"\n"+kubeletPolicy+"\n", "", 1)
}

// withoutRegistry removes the registry's images from the kubelet's records. Each line of printed has a record's file name, a tab and
// the record. It returns pairs of a file name and the record's new content, or "" if the record names no other image.
func withoutRegistry(printed []byte, registryHost string) ([]string, error) {
	var pairs []string
	for line := range bytes.Lines(printed) {
		name, content, found := strings.Cut(strings.TrimSpace(string(line)), "\t")
		if !found {
			return nil, errors.New("reading the kubelet's records of pulled images: unknown format")
		}
		record, images := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(content), &record); err != nil {
			return nil, fmt.Errorf("parsing the kubelet's record %s: %w", name, err)
		}
		if err := json.Unmarshal(record["credentialMapping"], &images); err != nil {
			return nil, fmt.Errorf("parsing the kubelet's record %s: %w", name, err)
		}
		for image := range images {
			if strings.HasPrefix(image, registryHost+"/") {
				delete(images, image)
			}
		}
		changed := ""
		if len(images) > 0 {
			record["credentialMapping"], _ = json.Marshal(images) // marshals, because it was parsed
			document, _ := json.Marshal(record)
			changed = string(document)
		}
		pairs = append(pairs, name, changed)
	}
	return pairs, nil
}
