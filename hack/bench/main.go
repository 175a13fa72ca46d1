// Command bench measures how long it takes to get an image from the host's Docker daemon to a node of a kind cluster. In one run,
// it compares kind load, docker push with a pull, and kind-local-registry with and without linked layers. It creates and deletes
// its own cluster and registry. "hack/bench.sh --help" shows the usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options contains the flags.
type options struct {
	cases     string // comma-separated names
	methods   string // comma-separated names
	runs      int
	out       string // directory for the results
	work      string // directory for the files that are copied into images
	setup     string // path of the program setup
	nodeImage string
	draw      bool
	add       bool
	assert    float64 // the speed-up that linking must reach at least; 0 for none
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.cases, "cases", strings.Join(names(), ","), "comma-separated cases to measure")
	flags.StringVar(&o.methods, "methods", strings.Join(methodFlags(), ","), "comma-separated methods to compare")
	flags.IntVar(&o.runs, "runs", 5, "number of rounds for each case")
	flags.StringVar(&o.out, "out", "docs/benchmarks", "directory for the results")
	flags.StringVar(&o.work, "work", "", "directory for the files that are copied into images; requires as much space as the largest image")
	flags.StringVar(&o.setup, "setup", "bin/setup", "path of the program setup")
	flags.StringVar(&o.nodeImage, "node-image", "", "kind node image")
	flags.BoolVar(&o.add, "add", false, "keep the existing results of the cases that are not measured")
	flags.BoolVar(&o.draw, "draw", false, "measure nothing; only regenerate the plot and the tables from the existing results")
	flags.Float64Var(&o.assert, "assert", 0,
		"fail unless linking makes the first delivery of each case at least this many times as fast as kind load (default no check)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(o.cases)
	if err != nil {
		return err
	}
	if err := o.checkMethods(); err != nil {
		return err
	}
	if !(o.assert >= 0) { // also if it is not a number
		return errors.New("parsing flags: -assert must be at least 0")
	}
	results, err := o.results(ctx, chosen, progress)
	if err != nil {
		return err
	}
	return results.assert(chosen, o.assert)
}

// results measures the cases, or redraws the existing results.
func (o options) results(ctx context.Context, chosen []subject, progress io.Writer) (results, error) {
	if o.draw {
		existing, err := readResults(o.out)
		if err != nil {
			return results{}, err
		}
		return existing, existing.write(o.out)
	}
	if o.runs < 1 || o.work == "" {
		return results{}, errors.New("parsing flags: -runs must be at least 1, and -work must name a directory")
	}
	b := &bench{host: host{options: o}, progress: progress}
	if o.add {
		existing, err := readResults(o.out)
		if err != nil {
			return results{}, err
		}
		existing.drop(chosen)
		b.results = existing
	}
	err := b.run(ctx, chosen)
	return b.results, err
}

// choose returns the cases with these names.
func choose(names string) (chosen []subject, err error) {
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, s := range subjects() {
			if s.Name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("parsing -cases: no case %q", name)
		}
	}
	return chosen, nil
}
