// Package api tests the webhook's process against a real API server and etcd. Without kubelet and scheduler, only the API
// server and the delivery controller change pods, and the tests assert on these pods.
//
// It needs the build tag api, and KUBEBUILDER_ASSETS set to a directory with kube-apiserver, kubectl and etcd.
package api
