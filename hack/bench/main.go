// Command bench measures how long an image takes from the host's Docker daemon to a node of a kind cluster, by kind load,
// by docker push and a pull, and by kind-local-registry, in turn and in one run. It makes and empties a cluster and a
// registry of its own; "hack/bench.sh --help" says how it is called.
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

// options are what can be chosen of a run.
type options struct {
	cases     string // names of cases, with commas between
	runs      int
	out       string // directory of the results
	work      string // directory for what images are made of
	setup     string // the program
	nodeImage string
	draw      bool
	add       bool
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.cases, "cases", "858MB,100MB,10x80MB,5GB", "what is delivered")
	flags.IntVar(&o.runs, "runs", 5, "how often each case is measured")
	flags.StringVar(&o.out, "out", "docs/benchmarks", "directory of the results")
	flags.StringVar(&o.work, "work", "", "directory for what images are made of; as big as the biggest image")
	flags.StringVar(&o.setup, "setup", "bin/setup", "the program setup")
	flags.StringVar(&o.nodeImage, "node-image", "", "kind node image")
	flags.BoolVar(&o.add, "add", false, "keep the results of other cases that are in the directory already")
	flags.BoolVar(&o.draw, "draw", false, "only draw the plot and write the table again, from the results that are there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.draw {
		results, err := readResults(o.out)
		if err != nil {
			return err
		}
		return results.write(o.out)
	}
	chosen, err := choose(o.cases)
	if err != nil {
		return err
	}
	if o.runs < 1 || o.work == "" {
		return errors.New("-runs must be at least 1, and -work a directory")
	}
	b := &bench{options: o, progress: progress}
	if o.add {
		if b.results, err = readResults(o.out); err != nil {
			return err
		}
		b.results.drop(chosen)
	}
	return b.run(ctx, chosen)
}

// choose returns the cases of those names.
func choose(names string) (chosen []subject, err error) {
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, s := range subjects() {
			if s.Name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-cases: there is no case %q", name)
		}
	}
	return chosen, nil
}
