// Package watch follows a cluster and the pusher, for setup watch: it combines the host's builds and pushes with the pods that run
// them.
//
// Run keeps a State up to date until its context ends. It only reads: it pushes nothing, and creates nothing in the cluster. If the
// pusher or the cluster goes away, it connects again and checks everything. It prints nothing; cmd/setup shows the states.
package watch
