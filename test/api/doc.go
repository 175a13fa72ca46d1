// Package api tests the webhook's process against a real API server and etcd: no kubelet and no scheduler, so pods stay as
// the API server and the delivery controller leave them, and that is what the tests look at.
//
// It needs the build tag api, and KUBEBUILDER_ASSETS with a directory that has kube-apiserver, kubectl and etcd.
package api
