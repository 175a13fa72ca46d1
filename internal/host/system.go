package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker"
)

// System is the host that the steps work on: its Docker daemon and its kind clusters.
type System struct {
	options    Options
	kindConfig *v1alpha4.Cluster
	docker     *client.Client
	socket     string // of the Docker daemon, on the host
	virtual    bool   // whether the daemon runs in a virtual machine of this host, with files of its own
	layout     docker.Layout
	network    string
	rules      string       // the document of the rules, as the user wrote it; "" for the defaults
	access     *rest.Config // to the cluster's API server, once it was asked for
}

// Open reaches the Docker daemon and reads what the options name. It fails, with a remedy, on a daemon that does not
// answer, one on another machine, or a configuration that cannot be read; and changes nothing.
func Open(ctx context.Context, options Options) (*System, error) {
	system, err := connect(ctx, options)
	if err != nil {
		return nil, err
	}
	return system, system.keep(ctx)
}

// OpenToChange is Open for what changes the host: it waits until no other setup does that, and calls waiting, if that takes
// more than a second, with who holds it up. unlock ends the caller's turn, and so does the end of the process.
func OpenToChange(ctx context.Context, options Options, waiting func(holder string)) (system *System, unlock func() error, err error) {
	if system, err = connect(ctx, options); err != nil {
		return nil, nil, err
	}
	if unlock, err = lock(ctx, system.socket, waiting); err != nil {
		return nil, nil, err
	}
	if err := system.keep(ctx); err != nil { // only now: another setup may have changed what is there
		return nil, nil, errors.Join(err, unlock())
	}
	return system, unlock, nil
}

// keep takes over, of what the user did not choose, what is there.
func (s *System) keep(ctx context.Context) error {
	return errors.Join(s.keepRegistry(ctx), s.keepRules(ctx))
}

// connect returns the system of the options, but for what is kept of the one that is there.
func connect(ctx context.Context, options Options) (*System, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	rules, err := options.readRules()
	if err != nil {
		return nil, err
	}
	address := dockerHost(ctx)
	socket, local := strings.CutPrefix(address, "unix://")
	if !local {
		return nil, remedy(fmt.Errorf("the Docker daemon at %s is on another machine", address), "setup works on the local daemon: unset DOCKER_HOST, or choose a local docker context")
	}
	daemon, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("connecting to Docker at %s: %w", address, err)
	}
	info, err := daemon.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, noDocker(address, err)
	}
	kindConfig, err := options.readKindConfig(info.Info.CgroupVersion == "1")
	if err != nil {
		return nil, err
	}
	if options.Cluster == "" {
		options.Cluster = kindConfig.Name
	}
	if options.Cluster == "" {
		options.Cluster = config.Cluster
	}
	network := os.Getenv("KIND_EXPERIMENTAL_DOCKER_NETWORK")
	if network == "" {
		network = config.Network
	}
	if resolved, err := filepath.EvalSymlinks(socket); err == nil {
		socket = resolved // users may come to the same one by different links
	}
	return &System{
		options: options, kindConfig: kindConfig, docker: daemon, socket: socket, network: network,
		layout: docker.NewLayout(info.Info), rules: rules,
		virtual: runtime.GOOS != "linux" || info.Info.OperatingSystem == "Docker Desktop",
	}, nil
}

// noDocker says in a sentence why the daemon does not answer, and what to do.
func noDocker(address string, err error) error {
	if strings.Contains(err.Error(), "permission denied") { // the client's error wraps none
		return remedy(fmt.Errorf("no permission to use Docker at %s", address), "run setup as root, or join the group docker and log in again")
	}
	return remedy(fmt.Errorf("docker does not answer at %s", address), "start it (systemctl start docker), or set DOCKER_HOST to where it listens")
}

// Cluster is the name of the kind cluster that the system works on.
func (s *System) Cluster() string { return s.options.Cluster }

// Steps returns every step, in the order in which up applies them.
func (s *System) Steps() []Step {
	return []Step{
		s.clusterStep(), s.imagesStep(), s.registryStep(), s.pusherStep(), s.nodesStep(), s.hostingStep(),
		s.webhookImageStep(), s.credentialsStep(), s.chartStep(), s.admissionStep(),
	}
}

// StepsDown returns the steps to undo: without those in a cluster that is going to be deleted as a whole, and with the
// registry only if that is asked for.
func (s *System) StepsDown(ctx context.Context, registry bool) []Step {
	deleted := s.willDeleteCluster(ctx)
	var steps []Step
	if registry {
		steps = append(steps, Step{Name: "registry", Undo: s.removeRegistry})
	}
	for _, step := range s.Steps() {
		if !step.InCluster || !deleted {
			steps = append(steps, step)
		}
	}
	return steps
}

// Preflight finds, before anything is changed, what would make up fail half-way.
func (s *System) Preflight(ctx context.Context) error {
	exists, err := s.clusterExists()
	if err != nil {
		return err
	}
	if !exists && s.options.AdoptOnly {
		return remedy(fmt.Errorf("there is no kind cluster %q and --adopt-only forbids creating it", s.Cluster()),
			"see kind get clusters, or leave --adopt-only out")
	}
	if !exists {
		if err := s.options.checkKubeconfig(); err != nil {
			return err
		}
	}
	if _, err := s.rulesValues(); err != nil {
		return err
	}
	return s.checkRegistryPort(ctx)
}

// dockerHost returns the address of the daemon that the docker command would talk to: DOCKER_HOST, else that of the
// current docker context, else Docker's default.
func dockerHost(ctx context.Context) string {
	if host := os.Getenv(client.EnvOverrideHost); host != "" {
		return host
	}
	output, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if host := strings.TrimSpace(string(output)); err == nil && host != "" {
		return host
	}
	return client.DefaultDockerHost
}

func (s *System) provider(progress Progress) *cluster.Provider {
	if progress == nil {
		return cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(quietLogger{}))
	}
	return cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(progressLogger{progress}))
}

func (s *System) clusterExists() (bool, error) {
	clusters, err := s.provider(nil).List()
	if err != nil {
		return false, fmt.Errorf("listing kind clusters: %w", err)
	}
	return slices.Contains(clusters, s.Cluster()), nil
}

// errNoCluster is returned by what needs the cluster where there is none.
var errNoCluster = errors.New("no such kind cluster")

// restConfig returns the access to the cluster's API server, from the cluster itself and not from a kubeconfig. The steps
// come one after the other, and the cluster is the same for all of them.
func (s *System) restConfig() (*rest.Config, error) {
	if s.access != nil {
		return s.access, nil
	}
	exists, err := s.clusterExists()
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("%w %q", errNoCluster, s.Cluster())
	}
	raw, err := s.provider(nil).KubeConfig(s.Cluster(), false)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of kind cluster %s: %w", s.Cluster(), err)
	}
	access, err := clientcmd.RESTConfigFromKubeConfig([]byte(raw))
	if err != nil {
		return nil, fmt.Errorf("parsing the kubeconfig of kind cluster %s: %w", s.Cluster(), err)
	}
	access.QPS, access.Burst = 50, 100
	s.access = access
	return access, nil
}

func (s *System) kube() (kubernetes.Interface, error) {
	access, err := s.restConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(access)
}

// clusterTime is how long the cluster has to answer NamespaceLabels.
const clusterTime = time.Second

// NamespaceLabels returns the labels of every namespace in the cluster, by name. It returns none if the cluster does not exist or
// does not answer within a second: setup explain works without a cluster.
func (s *System) NamespaceLabels(ctx context.Context) map[string]map[string]string {
	ctx, cancel := context.WithTimeout(ctx, clusterTime)
	defer cancel()
	labels := map[string]map[string]string{}
	client, err := s.kube()
	if err != nil {
		return labels
	}
	found, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return labels
	}
	for i := range found.Items {
		labels[found.Items[i].Name] = found.Items[i].Labels
	}
	return labels
}
