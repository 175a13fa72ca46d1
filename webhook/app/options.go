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

// Options are the settings of the process.
type Options struct {
	// Identity is the name of this process among its replicas: in a container, the name of the pod.
	Identity string
	// Namespace is the namespace of the serving certificate's Secret and of the leader election's Lease.
	Namespace string
	// DNSNames are the names by which the API server reaches the webhook.
	DNSNames []string
	// RegistryHost is the registry's host in rewritten images.
	RegistryHost string
	// Rules is the file with the rules, which may change.
	Rules *RulesFile
	// WebhookPort, HealthPort and MetricsPort are TCP ports on all addresses; a MetricsPort of 0 serves no metrics.
	WebhookPort, HealthPort, MetricsPort int
	// LeaderElection makes one of several replicas deliver; all of them admit.
	LeaderElection bool
	// Drain is how long the process goes on answering after it is told to stop, see endpoint.Handler.Drain.
	Drain time.Duration
	// PushDeadline is how long after a pod's creation its pushes are retried. After it, the pod gets its original images.
	PushDeadline time.Duration
}

// Defaults returns the options of a process in the chart's namespace.
func Defaults() Options {
	identity, _ := os.Hostname() // Validate reports a missing one
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

// ServiceNames returns the DNS names of a Service.
func ServiceNames(service, namespace string) []string {
	host := service + "." + namespace + ".svc"
	return []string{host, host + ".cluster.local"}
}

// Validate returns every fault of the options.
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

// port reports whether n is a TCP port of at least lowest.
func port(n, lowest int) bool { return n >= lowest && n <= 65535 }

// address returns the port on all addresses as controller-runtime takes it; "0" for none.
func address(port int) string {
	if port == 0 {
		return "0"
	}
	return ":" + strconv.Itoa(port)
}
