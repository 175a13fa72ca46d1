// Command kube is Kubernetes in one binary: the programs of control plane and node, kubeadm and kubectl. Its own file name
// selects the program: link or copy it as kube-apiserver, kubelet, kubectl and so on.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the metrics that each upstream main registers
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	os.Exit(run(context.Background(), filepath.Base(os.Args[0])))
}

// run runs the main function of the named program and returns the exit code. Upstream reads the arguments from os.Args. The build tag
// kubernetes_1_27 selects the functions that differ in that version.
func run(ctx context.Context, program string) int {
	switch program {
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kube-proxy":
		return cli.Run(proxy.NewProxyCommand())
	case "kubelet":
		return runKubelet(ctx)
	case "kubeadm":
		runKubeadm() // prints an error and exits with its code
		return 0
	case "kubectl":
		kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand())) // likewise
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: call this binary kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, "+
		"kubelet, kubeadm or kubectl\n", program)
	return 2
}
