# shellcheck shell=bash
# The stages that make the node's root file system, to be sourced. They need root and debootstrap.

set -o errexit -o nounset -o pipefail

BASE_PACKAGES=systemd,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,e2fsprogs
BASE_PACKAGES+=,bash,ca-certificates,curl,jq,procps,runc,busybox-static

build_base() {
  if built base "$DEBIAN $BASE_PACKAGES"; then return; fi
  need_packages debootstrap
  stage base "$DEBIAN $BASE_PACKAGES" base
}

# base: Debian with the packages that kind's base image has
base() {
  local root=$TMP/root
  debootstrap --variant=minbase --include="$BASE_PACKAGES" "$DEBIAN" "$root" "$(debian_mirror)"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  tar -C "$root" --numeric-owner -cf "$OUT/base.tar" .
}

build_rootfs() {
  stage rootfs "$STAMP" rootfs
}

# rootfs: what kind's images/base/Dockerfile makes of the base
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

# add_files ROOT: kind's files, and the programs
add_files() {
  local root=$1 built=$CACHE/built
  cp -r "$built/kind/files/." "$root/"
  chmod 755 "$root"/usr/local/bin/* "$root"/kind "$root"/kind/bin "$root"/kind/bin/*
  mkdir -p "$root"/etc/kubernetes/manifests "$root"/opt/cni/bin "$root"/etc/cni/net.d
  cp "$built/kube/kube" "$built"/containerd/* "$built/crictl/crictl" "$root/usr/local/bin/"
  cp "$built"/cni/* "$root/opt/cni/bin/"
}

# set_up_systemd ROOT: enables the node's services and removes those that have no place in a container
set_up_systemd() {
  local root=$1 units=$1/lib/systemd/system
  rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$units"/{multi-user,local-fs,basic}.target.wants/* \
    "$units"/sockets.target.wants/*{udev,initctl}* "$root"/etc/systemd/system/*.wants/*
  echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"
  ln -sf /lib/systemd/systemd "$root/sbin/init"
  chroot "$root" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$root" systemctl mask systemd-binfmt.service
}

# set_up_containerd ROOT: names the pause image, gives containers kind's hook, and leaves their oom_score_adj where a
# machine that itself is a container may set it
set_up_containerd() {
  local root=$1 config=$1/etc/containerd/config.toml
  sed -i "s/restrict_oom_score_adj = false/restrict_oom_score_adj = true/
    s#registry.k8s.io/pause:[^\"]*#$PAUSE_IMAGE#" "$config"
  grep --quiet 'restrict_oom_score_adj = true' "$config"
  grep --quiet "\"$PAUSE_IMAGE\"" "$config"
  # shellcheck disable=SC2016 # bash in the root file system, with its jq
  chroot "$root" bash -o errexit -o pipefail -c 'ctr oci spec |
    jq ".hooks.createContainer += [{path: \"/kind/bin/mount-product-files.sh\"}] | del(.process.rlimits)" \
      >/etc/containerd/cri-base.json'
}

# proxy_tools ROOT: what kube-proxy's image has beside its binary, as a tar: iptables, nft and conntrack, the libraries
# that they and iptables' modules need (libxt_statistic.so alone needs libm), and the links that lead to them
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
