//go:build !kubernetes_1_27

package main

import (
	"context"

	"k8s.io/component-base/cli"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func runKubelet(ctx context.Context) int { return cli.Run(kubelet.NewKubeletCommand(ctx)) }

func runKubeadm() { kubeadmerrors.HandleError(kubeadm.Run()) }
