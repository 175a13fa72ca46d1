//go:build api

package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// shared is the cluster that all tests use. TestMain sets it.
var shared *cluster

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/api:", err)
		code = 1
	}
	os.Exit(code)
}

// run starts the API server, runs the tests and stops the API server. If API_TEST_LOG is set, it writes the webhook process's log
// to stderr.
func run(m *testing.M) (code int, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 0, errors.New("set KUBEBUILDER_ASSETS to a directory with kube-apiserver, kubectl and etcd; " +
			"hack/node-image.sh --envtest creates one and prints its path")
	}
	log := logr.Discard()
	if os.Getenv("API_TEST_LOG") != "" {
		log = funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, prefix, args) }, funcr.Options{})
	}
	ctrl.SetLogger(log)
	environment := &envtest.Environment{}
	access, err := environment.Start()
	if err != nil {
		return 0, fmt.Errorf("starting the API server: %w", err)
	}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	if shared, err = newCluster(context.Background(), access, log); err != nil {
		return 0, err
	}
	stop, err := startProcess(shared.process())
	if err != nil {
		return 0, err
	}
	shared.stop = stop
	defer func() { err = errors.Join(err, shared.stop()) }()
	return m.Run(), nil
}
