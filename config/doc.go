// Package config is what every piece of kind-local-registry agrees on: the names and addresses of the registry, the
// pusher, the chart and its marks on pods, and the documents that kind, containerd and Kubernetes read about them.
//
// It holds values and makes documents from them. It reads no file, asks no daemon and knows no cluster: whoever needs a
// value of the running system (an address, a port) passes it in.
package config
