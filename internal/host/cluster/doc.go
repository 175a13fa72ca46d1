// Package cluster creates kind clusters and tells other tools in them where the local registry is (KEP-1755).
package cluster
