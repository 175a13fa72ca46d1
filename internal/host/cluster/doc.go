// Package cluster creates, starts and deletes the kind cluster that setup works on. It also publishes the local registry's
// address in the cluster for other tools (KEP-1755).
//
// It deletes only clusters that it created, which it recognises by a label on the nodes. If the user names no cluster, it selects
// one. Package chart installs what runs in the cluster.
package cluster
