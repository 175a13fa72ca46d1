// Package kindcli runs kind's command line for programs that call kind. It passes every command on to kind, except two: images are
// pushed instead of being loaded into the nodes, and new clusters are set up. The caller implements both.
//
// It runs the kind program on the PATH, or kind's own code if there is none. It contacts neither Docker nor a cluster.
package kindcli
