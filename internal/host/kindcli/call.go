package kindcli

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kind/pkg/cluster"
	kindcmd "sigs.k8s.io/kind/pkg/cmd"
	"sigs.k8s.io/kind/pkg/cmd/kind"
	"sigs.k8s.io/kind/pkg/log"
	"sigs.k8s.io/yaml"
)

// call is a parsed command line of kind.
type call struct{ command *cobra.Command }

// parse parses arguments with kind's own commands. known is false if they ask for help, or if this version of kind rejects them.
func parse(args []string) (called *call, known bool) {
	root := kind.NewCommand(log.NoopLogger{}, kindcmd.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	command, rest, err := root.Find(args)
	if err != nil || command.ParseFlags(rest) != nil {
		return nil, false
	}
	return &call{command}, true
}

// is reports whether the command is the one with these names.
func (c *call) is(names ...string) bool {
	return c.command.CommandPath() == "kind "+strings.Join(names, " ")
}

// args returns the arguments that are not flags.
func (c *call) args() []string { return c.command.Flags().Args() }

// flag returns the value of a flag.
func (c *call) flag(name string) string { return c.command.Flag(name).Value.String() }

func (c *call) quiet() bool { return c.flag("quiet") == "true" }

// nodes returns the names in the flag --nodes.
func (c *call) nodes() []string {
	nodes, _ := c.command.Flags().GetStringSlice("nodes") // the command has this flag
	return nodes
}

// clusterName returns the cluster's name in kind's order of precedence. configured is the name in the kind configuration.
func (c *call) clusterName(configured string) string {
	if c.command.Flags().Changed("name") {
		return c.flag("name")
	}
	for _, name := range []string{os.Getenv("KIND_CLUSTER_NAME"), configured} {
		if name != "" {
			return name
		}
	}
	return cluster.DefaultName
}

// configName returns the name in a kind configuration, or "" if there is none.
func configName(config []byte) string {
	var parsed struct{ Name string }
	if err := yaml.Unmarshal(config, &parsed); err != nil {
		return ""
	}
	return parsed.Name
}

// logger returns a logger that prints like kind's.
func (c *call) logger() log.Logger {
	if c.quiet() {
		return log.NoopLogger{}
	}
	return kindcmd.NewLogger()
}

// loadArgs returns the arguments with which kind loads only the named images or archives.
func (c *call) loadArgs(images []string) []string {
	args := append([]string{"load", c.command.Name()}, images...)
	args = append(args, "--name", c.clusterName(""), "--verbosity", c.flag("verbosity"))
	if nodes := c.nodes(); len(nodes) > 0 {
		args = append(args, "--nodes", strings.Join(nodes, ","))
	}
	if c.quiet() {
		args = append(args, "--quiet")
	}
	return args
}
