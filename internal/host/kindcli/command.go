package kindcli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	kindcmd "sigs.k8s.io/kind/pkg/cmd"
	"sigs.k8s.io/kind/pkg/log"
)

// Variable is the environment variable that turns the package off if its value is "off". Every command then goes to kind.
const Variable = "KIND_LOCAL_REGISTRY_KIND"

const off = "off"

// interrupted is the exit status of a program that ended because of SIGINT.
const interrupted = 130

// ExitError is the error of a kind command that failed. Everything about it has been printed.
type ExitError struct {
	// Code is the exit status.
	Code int
}

// Error implements error.
func (e *ExitError) Error() string { return fmt.Sprintf("kind exited with status %d", e.Code) }

// Images are images to make available to a cluster's pods.
type Images struct {
	// Cluster is the name of the kind cluster.
	Cluster string
	// Nodes are the names of the nodes that need the images. No names mean all nodes.
	Nodes []string
	// Names are the images' names or, for PushArchives, the archives' files, without duplicates.
	Names []string
	// Log takes what to print.
	Log log.Logger
}

// Cluster is a cluster that kind has created.
type Cluster struct {
	Name string
	// Kubeconfig is the kubeconfig that kind has changed. "" means kubectl's default.
	Kubeconfig string
	// Quiet means that the user wants to see errors only.
	Quiet bool
}

// Command runs kind.
type Command struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Push pushes images and returns those that kind has to load instead.
	Push func(ctx context.Context, images Images) (left []string, err error)
	// PushArchives pushes the images of archives and returns the archives that kind has to load instead.
	PushArchives func(ctx context.Context, archives Images) (left []string, err error)
	// SetUp sets up a new cluster. It prints why it fails, and what to do about it.
	SetUp func(ctx context.Context, created Cluster) error
}

// Run runs kind with the arguments. The error is an *ExitError with kind's exit status if kind fails.
func (c *Command) Run(ctx context.Context, args []string) error {
	called, known := parse(args)
	if !known || os.Getenv(Variable) == off || os.Getenv(skipVariable) != "" || !usesDocker() {
		return c.kind(ctx, args, c.Stdin)
	}
	switch {
	case called.is("load", "docker-image") && len(called.args()) > 0:
		return c.load(ctx, called, c.Push)
	case called.is("load", "image-archive") && len(called.args()) > 0:
		return c.load(ctx, called, c.PushArchives)
	case called.is("create", "cluster") && len(called.args()) == 0:
		return c.create(ctx, called, args)
	}
	return c.kind(ctx, args, c.Stdin)
}

// usesDocker reports whether kind's nodes are Docker containers (sigs.k8s.io/kind/pkg/internal/runtime).
func usesDocker() bool {
	switch os.Getenv("KIND_EXPERIMENTAL_PROVIDER") {
	case "podman", "nerdctl", "finch", "nerdctl.lima":
		return false
	}
	return true
}

// load pushes the images or archives. kind loads those that cannot be pushed.
func (c *Command) load(ctx context.Context, called *call, push func(context.Context, Images) ([]string, error)) error {
	images := Images{Cluster: called.clusterName(""), Nodes: called.nodes(), Log: called.logger()}
	for _, name := range called.args() {
		if !slices.Contains(images.Names, name) {
			images.Names = append(images.Names, name)
		}
	}
	left, err := push(ctx, images)
	switch {
	case ctx.Err() != nil:
		return &ExitError{interrupted}
	case err != nil:
		printError(images.Log, err)
		return &ExitError{1}
	case len(left) == 0:
		return nil
	}
	return c.kind(ctx, called.loadArgs(left), c.Stdin)
}

// create lets kind create a cluster, and then sets it up. If only that fails, the exit status is still kind's.
func (c *Command) create(ctx context.Context, called *call, args []string) error {
	stdin, config := c.Stdin, []byte(nil)
	switch file := called.flag("config"); file {
	case "":
	case "-":
		text, err := io.ReadAll(stdin)
		if err != nil {
			printError(called.logger(), fmt.Errorf("error reading config from stdin: %w", err))
			return &ExitError{1}
		}
		config, stdin = text, bytes.NewReader(text)
	default:
		config, _ = os.ReadFile(file) // #nosec G304 -- the user chose the file; kind reports the error
	}
	if err := c.kind(ctx, args, stdin); err != nil {
		return err
	}
	created := Cluster{Name: called.clusterName(configName(config)), Kubeconfig: called.flag("kubeconfig"), Quiet: called.quiet()}
	if err := c.SetUp(ctx, created); err != nil && ctx.Err() != nil {
		return &ExitError{interrupted}
	}
	return nil
}

// printError prints an error as kind does (sigs.k8s.io/kind/cmd/kind/app).
func printError(logger log.Logger, err error) {
	if kindcmd.ColorEnabled(logger) {
		logger.Errorf("\x1b[31mERROR\x1b[0m: %v", err)
		return
	}
	logger.Errorf("ERROR: %v", err)
}
