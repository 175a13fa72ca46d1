#!/usr/bin/env bash
# Ensures that a Docker daemon is running; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "$0")" && pwd)
source "$HERE/lib.sh"

STATE=${DOCKERD_STATE:-/run/kind-local-registry} # directory of the pid file and log of the dockerd that this script started

usage() {
  cat <<'USAGE'
Ensures that a Docker daemon is running. If no daemon answers, the script installs the missing packages and starts dockerd in the
background. This works only on Debian and as root.

  hack/docker.sh [start]   does nothing if a daemon already answers
  hack/docker.sh stop      stops the dockerd that this script started, but no other dockerd
  hack/docker.sh install   installs the missing packages, but does not start dockerd
  hack/docker.sh restart   restarts the dockerd that this script started; containers with a restart policy start again

Environment:
  DOCKERD_ARGS    additional arguments for dockerd, for start and restart
  DOCKERD_STATE   directory of dockerd's log and pid file (default /run/kind-local-registry)

Examples:
  hack/docker.sh
  DOCKERD_ARGS='--storage-driver vfs' hack/docker.sh
  tail -f /run/kind-local-registry/dockerd.log
USAGE
}

# server_version: prints the version of the daemon that the docker client reaches; fails if no daemon answers
server_version() {
  timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null
}

# our_pid: prints the pid of the dockerd that this script started; fails if it is no longer running
our_pid() {
  local pid name state
  [[ -r $STATE/dockerd.pid ]] || return 1
  pid=$(<"$STATE/dockerd.pid")
  { read -r _ name state _ <"/proc/$pid/stat"; } 2>/dev/null || return 1
  [[ $name == '(dockerd)' && $state != Z ]] || return 1
  echo "$pid"
}

start() {
  local version pid
  if version=$(server_version); then
    echo "Docker $version answers; nothing to start."
    return
  fi
  [[ -z ${DOCKER_HOST-} ]] || die "no Docker daemon answers at $DOCKER_HOST: start that daemon, or unset DOCKER_HOST"
  ((EUID == 0)) || die "no Docker daemon answers: start Docker, or run hack/docker.sh as root"
  install_docker
  if pid=$(pidof -s dockerd); then # the package's service may have started it
    log "→ waiting for the dockerd that is starting, pid $pid"
    await "$pid"
  else
    launch
  fi
}

# install_docker: installs dockerd, its client, and the tools that it calls
install_docker() {
  command -v ip >/dev/null || need_packages iproute2
  command -v iptables >/dev/null || need_packages iptables
  if command -v dockerd >/dev/null && command -v docker >/dev/null; then return; fi
  need_debian_root "installing Docker" "see https://docs.docker.com/engine/install/"
  local suite=()
  apt_update
  if (($(candidate docker.io) < 26)); then
    need_trixie
    suite=(--target-release trixie)
  fi
  if ! command -v dockerd >/dev/null; then
    log "  installing with apt-get:" "${suite[@]}" docker.io
    apt_get install --no-install-recommends "${suite[@]}" docker.io
  fi
  if ! command -v docker >/dev/null; then # a separate package since Debian 13
    log "  installing with apt-get:" "${suite[@]}" docker-cli
    apt_get install --no-install-recommends "${suite[@]}" docker-cli
  fi
}

# candidate PACKAGE: prints the major version that apt would install, or 0 if apt knows no version
candidate() {
  apt-cache policy "$1" | sed -nE 's/^ *Candidate: ([0-9]+:)?([0-9]+).*/\2/p' | grep . || echo 0
}

# need_trixie: adds Debian 13 to apt's sources. Debian 12's docker.io is version 20.10, whose privileged containers request every
# capability. If this machine itself lacks a capability, privileged containers, and therefore kind, fail with "unable to apply caps".
# Debian 13's docker.io requests only the capabilities that are available, and can be installed on Debian 12. The low priority keeps
# all other packages unchanged.
need_trixie() {
  local suites
  # shellcheck disable=SC2016 # apt-get's variable
  suites=$(apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' 'Component: main')
  if grep --quiet --line-regexp trixie <<<"$suites"; then return; fi
  log "  adding Debian 13 (trixie) to apt's sources, at priority 100, for docker.io"
  printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >/etc/apt/preferences.d/kind-local-registry-trixie
  printf 'deb %s trixie main\n' "$(debian_mirror)" >/etc/apt/sources.list.d/kind-local-registry-trixie.list
  apt_update
}

# launch: starts dockerd and waits until it answers
launch() {
  mkdir -p "$STATE"
  log "→ starting dockerd (log: $STATE/dockerd.log)"
  # shellcheck disable=SC2086 # DOCKERD_ARGS is a list of words
  setsid dockerd ${DOCKERD_ARGS-} </dev/null >"$STATE/dockerd.log" 2>&1 3>&- &
  echo $! >"$STATE/dockerd.pid"
  await $! "$STATE/dockerd.log"
}

# await PID [LOG]: waits until the dockerd with that pid answers
await() {
  local pid=$1 log=("${@:2}") version start=$SECONDS next=10
  until version=$(server_version); do
    kill -0 "$pid" 2>/dev/null || give_up "dockerd, pid $pid, ended before it answered" "${log[@]}"
    ((SECONDS - start < 60)) || give_up "dockerd, pid $pid, does not answer after 60s" "${log[@]}"
    if ((SECONDS - start >= next)); then
      log "  … still waiting for dockerd ($(duration $((SECONDS - start))))"
      ((next += 10))
    fi
    sleep 0.5
  done
  echo "Docker $version answers (dockerd, pid $pid, after $(duration $((SECONDS - start))))."
}

# give_up WHY [LOG]: prints the end of dockerd's log and exits
give_up() {
  [[ -z ${2-} ]] || tail -n 10 "$2" | sed 's/^/    /' >&3
  die "$1: see ${2-its log, for example with journalctl --unit docker}"
}

stop() {
  local pid start=$SECONDS
  if ! pid=$(our_pid); then
    echo "No dockerd that this script started is running; nothing to stop."
    return
  fi
  log "→ stopping dockerd, pid $pid"
  kill -TERM "$pid"
  while our_pid >/dev/null; do
    ((SECONDS - start < 30)) || die "dockerd, pid $pid, is still running after 30s: see $STATE/dockerd.log"
    sleep 0.2
  done
  rm -f "$STATE/dockerd.pid"
  echo "dockerd stopped in $(duration $((SECONDS - start)))."
}

restart() {
  our_pid >/dev/null || die "no dockerd that this script started is running: restart Docker the way it was started"
  stop
  launch
}

install() {
  if command -v dockerd >/dev/null; then return; fi
  ((EUID == 0)) || die "dockerd is not installed: install Docker, or run hack/docker.sh as root"
  install_docker
}

case ${1-start} in
start | install | stop | restart) "${1-start}" ;;
-h | --help) usage ;;
*) die "unknown command $1: see hack/docker.sh --help" ;;
esac
