// Package api tests the webhook's process against a real API server and etcd. There is no kubelet or scheduler, so only the API
// server and the delivery controller change pods. The tests check these pods.
//
// It requires the build tag api. KUBEBUILDER_ASSETS must be set to a directory with kube-apiserver, kubectl and etcd.
package api
