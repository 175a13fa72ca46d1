//go:build kubernetes_1_27

package main

import (
	"context"

	"k8s.io/component-base/cli"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func runKubelet(context.Context) int { return cli.Run(kubelet.NewKubeletCommand()) }

func runKubeadm() { kubeadmutil.CheckErr(kubeadm.Run()) }
