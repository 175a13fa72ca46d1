# shellcheck shell=bash
# The stages that build the node's root file system. hack/node-image.sh sources this file. The stages need root and debootstrap.

set -o errexit -o nounset -o pipefail

BASE_PACKAGES=systemd,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,e2fsprogs
BASE_PACKAGES+=,bash,ca-certificates,curl,jq,procps,runc,busybox-static

build_base() {
  if built base "$DEBIAN $BASE_PACKAGES"; then return; fi
  need_packages debootstrap
  stage base "$DEBIAN $BASE_PACKAGES" base
}

# base: builds Debian with the same packages as kind's base image
base() {
  local root=$TMP/root
  debootstrap --variant=minbase --include="$BASE_PACKAGES" "$DEBIAN" "$root" "$(debian_mirror)"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  tar -C "$root" --numeric-owner -cf "$OUT/base.tar" .
}

build_rootfs() {
  stage rootfs "$STAMP" rootfs
}

# rootfs: changes the base like kind's images/base/Dockerfile
rootfs() {
  local root=$TMP/root
  mkdir "$root" "$OUT/context"
  tar -C "$root" --numeric-owner -xf "$CACHE/built/base/base.tar"
  add_files "$root"
  set_up_systemd "$root"
  set_up_containerd "$root"
  proxy_tools "$root"
  cp "$root/bin/busybox" "$OUT/"
  tar -C "$root" --numeric-owner -cf "$OUT/context/rootfs.tar" .
}

# add_files ROOT: adds kind's files and the programs
add_files() {
  local root=$1 built=$CACHE/built
  cp -r "$built/kind/files/." "$root/"
  chmod 755 "$root"/usr/local/bin/* "$root"/kind "$root"/kind/bin "$root"/kind/bin/*
  mkdir -p "$root"/etc/kubernetes/manifests "$root"/opt/cni/bin "$root"/etc/cni/net.d
  cp "$built/kube/kube" "$built"/containerd/* "$built/crictl/crictl" "$root/usr/local/bin/"
  cp "$built"/cni/* "$root/opt/cni/bin/"
}

# set_up_systemd ROOT: enables the node's services, and removes services that do not belong in a container
set_up_systemd() {
  local root=$1 units=$1/lib/systemd/system
  rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$units"/{multi-user,local-fs,basic}.target.wants/* \
    "$units"/sockets.target.wants/*{udev,initctl}* "$root"/etc/systemd/system/*.wants/*
  echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"
  ln -sf /lib/systemd/systemd "$root/sbin/init"
  chroot "$root" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$root" systemctl mask systemd-binfmt.service
}

# set_up_containerd ROOT: sets the pause image and kind's hook for containers, and limits oom_score_adj to values that a machine may set
# if it is itself a container
set_up_containerd() {
  local root=$1 config=$1/etc/containerd/config.toml
  sed -i "s/restrict_oom_score_adj = false/restrict_oom_score_adj = true/
    s#registry.k8s.io/pause:[^\"]*#$PAUSE_IMAGE#" "$config"
  grep --quiet 'restrict_oom_score_adj = true' "$config"
  grep --quiet "\"$PAUSE_IMAGE\"" "$config"
  # shellcheck disable=SC2016 # bash and jq run in the root file system
  chroot "$root" bash -o errexit -o pipefail -c 'ctr oci spec |
    jq ".hooks.createContainer += [{path: \"/kind/bin/mount-product-files.sh\"}] | del(.process.rlimits)" \
      >/etc/containerd/cri-base.json'
}

# proxy_tools ROOT: writes a tar of what kube-proxy's image contains in addition to the binary: iptables, nft and conntrack, the
# libraries that they and the modules of iptables need (only libxt_statistic.so needs libm), and the symbolic links to these libraries
proxy_tools() (
  cd "$1"
  local programs=(usr/sbin/{xtables-nft-multi,xtables-legacy-multi,nft,conntrack} usr/bin/{kmod,ip,dash})
  programs+=(usr/lib/*/xtables/*.so)
  {
    printf '%s\n' bin sbin lib lib64 "${programs[@]}" usr/bin/sh usr/sbin/{modprobe,ip,ip*tables*} \
      etc/alternatives/ip*tables*
    # shellcheck disable=SC2016 # expanded in the root file system
    chroot . bash -o errexit -o pipefail -c 'cd /
      ldd "$@" | grep --only-matching "/[^ :]*\.so[^ :]*" | sort --unique | while read -r library; do
        echo "$(readlink -f "$(dirname "$library")")/$(basename "$library")"
        readlink -f "$library"
      done | cut -c2-' bash "${programs[@]/#//}"
  } | sort --unique | tar --no-recursion --numeric-owner --files-from - -cf "$OUT/proxytools.tar"
)
