// Package cluster is the kind cluster that setup works on: it creates, starts and deletes it, and tells other tools in it where
// the local registry is (KEP-1755).
//
// It deletes only a cluster that it created, which a label on the nodes shows. What runs in the cluster is in chart.
package cluster
