package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
)

// Options contains the process's settings.
type Options struct {
	// Identity distinguishes this process from the other replicas. In a container, it is the pod's name.
	Identity string
	// Namespace is the namespace of the serving certificate's Secret and the leader election's Lease.
	Namespace string
	// DNSNames are the DNS names in the webhook's serving certificate. The API server calls the webhook by one of them.
	DNSNames []string
	// RegistryHost is the registry's host in rewritten images.
	RegistryHost string
	// Rules provides the current rules from a file that may change.
	Rules *RulesFile
	// WebhookPort, HealthPort and MetricsPort are TCP ports, which are opened on all addresses. If MetricsPort is 0, no metrics are
	// served.
	WebhookPort, HealthPort, MetricsPort int
	// RestartOnRebuild restarts workloads that ask for it when the host has a newer build of their images.
	RestartOnRebuild bool
	// LeaderElection makes only one of several replicas deliver images. All replicas answer admission requests.
	LeaderElection bool
	// Drain is how long the process keeps answering requests after Run's context ends; see endpoint.Handler.Drain. If the webhook
	// configuration does not exist then, the process ends immediately.
	Drain time.Duration
	// PushDeadline limits how long a pod's pushes are retried, counted from the pod's creation. After the deadline, the pod gets its
	// original images.
	PushDeadline time.Duration
}

// Defaults returns the options for a process in the chart's namespace.
func Defaults() Options {
	identity, _ := os.Hostname() // Validate reports an empty name
	return Options{
		Identity:       identity,
		Namespace:      config.Name,
		DNSNames:       ServiceNames(config.Name, config.Name),
		RegistryHost:   config.RegistryHost(config.RegistryPort),
		Rules:          newRulesFile("", rules.Default(), logr.Discard()),
		WebhookPort:    9443,
		HealthPort:     8081,
		MetricsPort:    8080,
		LeaderElection: true,
		Drain:          5 * time.Second,
		PushDeadline:   10 * time.Minute,
	}
}

// ServiceNames returns the Service's DNS names.
func ServiceNames(service, namespace string) []string {
	host := service + "." + namespace + ".svc"
	return []string{host, host + ".cluster.local"}
}

// Validate returns an error that lists every invalid option.
func (o Options) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.Identity == "", "the identity is empty: the host has no name")
	fault(o.Namespace == "", "the namespace is empty")
	fault(len(o.DNSNames) == 0, "the serving certificate has no DNS name")
	_, _, err := net.SplitHostPort(o.RegistryHost)
	fault(err != nil, "the registry host %q is not HOST:PORT", o.RegistryHost)
	fault(o.Rules == nil, "the rules are missing")
	fault(!port(o.WebhookPort, 1), "the webhook port %d is not a port", o.WebhookPort)
	fault(!port(o.HealthPort, 1), "the health port %d is not a port", o.HealthPort)
	fault(!port(o.MetricsPort, 0), "the metrics port %d is not a port", o.MetricsPort)
	fault(o.Drain < 0, "the drain of %s is negative", o.Drain)
	fault(o.PushDeadline <= 0, "the push deadline %s is not positive", o.PushDeadline)
	return errors.Join(faults...)
}

// port reports whether n is between lowest and the highest TCP port.
func port(n, lowest int) bool { return n >= lowest && n <= 65535 }

// address returns the address that makes controller-runtime listen on the port on all interfaces, or "0" for no port.
func address(port int) string {
	if port == 0 {
		return "0"
	}
	return ":" + strconv.Itoa(port)
}
