package main

import (
	"encoding/json"
	"strings"
)

// names are the references of the images, and the tag of Kubernetes' own.
type names struct {
	kubernetes, etcd, coredns, pause, kindnetd, provisioner, helper string
}

// image is an image to build: its reference, its entrypoint, and its layers, lowest first.
type image struct {
	name, entrypoint string
	layers           [][]file
}

// file is an entry of a layer at path: a copy of the file built, or a symbolic link to link. Without a path, built is the tar
// of the whole layer.
type file struct{ path, built, link string }

// applets are the commands of busybox in the helper image: those that the storage provisioner's scripts call, and a few for
// debugging. wget crashes with -T.
const applets = "cat chmod cp date echo env false grep head hostname id ip ls mkdir mv nc nslookup ps rm sed sh sleep " +
	"tail test touch true uname wget"

// contents returns the images of each archive. kind reads four archives with these names, with any images.
func contents(n names) map[string][]image {
	helper := []file{{path: "bin/busybox", built: "rootfs/busybox"}}
	for _, applet := range strings.Fields(applets) {
		helper = append(helper, file{path: "bin/" + applet, link: "busybox"})
	}
	return map[string][]image{
		"kube-apiserver.tar": { // together, because they share a layer
			kube("kube-apiserver", n.kubernetes),
			kube("kube-controller-manager", n.kubernetes),
			kube("kube-scheduler", n.kubernetes),
			kube("kube-proxy", n.kubernetes, file{built: "rootfs/proxytools.tar"}),
		},
		"kube-controller-manager.tar": {
			single(n.etcd, "usr/local/bin/etcd", "etcd/etcd"),
			single(n.coredns, "coredns", "coredns/coredns"),
		},
		"kube-scheduler.tar": {
			single(n.kindnetd, "bin/kindnetd", "kindnetd/kindnetd"),
			single(n.provisioner, "usr/local/bin/local-path-provisioner", "local-path-provisioner/local-path-provisioner"),
			{name: n.helper, entrypoint: "/bin/sh", layers: [][]file{helper}},
		},
		"kube-proxy.tar": {single(n.pause, "pause", "pause/pause")},
	}
}

// kube returns the image of one of Kubernetes' programs: the multi-call binary, and a link to it with the program's name.
func kube(program, version string, below ...file) image {
	i := image{name: "registry.k8s.io/" + program + ":" + version, entrypoint: program}
	if len(below) > 0 {
		i.layers = append(i.layers, below)
	}
	i.layers = append(i.layers,
		[]file{{path: "usr/local/bin/kube", built: "kube/kube"}},
		[]file{{path: "usr/local/bin/" + program, link: "kube"}})
	return i
}

// single returns the image of one static binary.
func single(name, path, built string) image {
	return image{name: name, entrypoint: "/" + path, layers: [][]file{{{path: path, built: built}}}}
}

// repositories returns the index of an archive's images, such as {"registry.k8s.io/pause": {"3.10": ""}}.
func repositories(images []image) ([]byte, error) {
	index := map[string]map[string]string{}
	for _, i := range images {
		repository, tag := i.name, ""
		if colon := strings.LastIndex(i.name, ":"); colon > strings.LastIndex(i.name, "/") {
			repository, tag = i.name[:colon], i.name[colon+1:]
		}
		index[repository] = map[string]string{tag: ""}
	}
	return json.Marshal(index)
}
