# shellcheck shell=bash
# Functions for messages, Debian packages, and stages that run only once. The scripts in this directory source this file. Before a
# script runs a stage, it must set CACHE to the directory for the results.

set -o errexit -o nounset -o pipefail

exec 3>&2 # messages for the user go to 3, because a stage's stdout and stderr go to its log

log() { printf '%s\n' "$*" >&3; }

die() {
  log "✗ $*"
  exit 1
}

# duration SECONDS: prints a duration, such as 45s or 2m30s
duration() {
  if (($1 < 60)); then printf '%ds' "$1"; else printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); fi
}

# --- Debian -----------------------------------------------------------------------------------------------------------

# need_debian_root WHAT REMEDY: exits unless the system is Debian and the user is root; the error names WHAT and suggests REMEDY
need_debian_root() {
  # shellcheck source=/dev/null
  [[ $(. /etc/os-release 2>/dev/null && echo "${ID-}") == debian ]] || die "$1 works only on Debian: $2"
  ((EUID == 0)) || die "$1 requires root: $2"
}

# apt_get ARGUMENT...: runs apt-get, and prints its output only if it fails. The output goes to a file, and apt-get has no file
# descriptors 3 and 9. Otherwise, a service that a package starts would keep the terminal open and hold a stage's lock.
apt_get() {
  local output status=0
  output=$(mktemp)
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$output" 2>&1 3>&- 9>&- || status=$?
  if ((status != 0)); then cat "$output" >&2; fi
  rm "$output"
  return "$status"
}

apt_update() {
  apt_get update || log "  apt-get update failed; continuing with the existing package lists"
}

# installed PACKAGE: succeeds if the Debian package is installed
installed() {
  [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# need_packages PACKAGE...: installs the Debian packages that are missing
need_packages() {
  local package missing=()
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]} > 0)); then
    need_debian_root "installing ${missing[*]}" "install them by hand"
    log "  installing with apt-get: ${missing[*]}"
    apt_update
    apt_get install --no-install-recommends "${missing[@]}"
  fi
}

# debian_mirror: prints the URL of the Debian archive in apt's sources
debian_mirror() {
  local archives
  # shellcheck disable=SC2016 # apt-get's variable
  archives=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main')
  grep --max-count=1 '/debian/\?$' <<<"$archives" || die "apt has no Debian archive in its sources: add one to /etc/apt/sources.list"
}

# --- Stages -----------------------------------------------------------------------------------------------------------

JOB='' # process group of the running stage

end_job() {
  if [[ $JOB ]]; then
    kill -TERM -- "-$JOB" 2>/dev/null || true
    wait "$JOB" 2>/dev/null || true
  fi
}

# patiently WHAT COMMAND [ARGUMENT...]: runs COMMAND and reports every 20 seconds that it is still running. If the script ends, COMMAND
# is stopped. It sets STATUS to COMMAND's exit code, because COMMAND would run without errexit if a caller tested the code in a
# condition.
patiently() {
  local what=$1 start=$SECONDS next=20
  shift
  trap end_job EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  set -o monitor # gives the job its own process group
  "$@" </dev/null &
  JOB=$!
  set +o monitor
  while kill -0 "$JOB" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - start >= next)); then
      log "  … still $what ($(duration $((SECONDS - start))))"
      ((next += 20))
    fi
  done
  STATUS=0
  wait "$JOB" || STATUS=$?
  JOB=''
}

# remove_tree DIRECTORY...: removes each directory, after unmounting everything that an interrupted debootstrap left mounted in it
remove_tree() {
  local tree mount
  for tree in "$@"; do
    while read -r mount; do
      umount "$mount"
    done < <(awk -v below="$tree/" 'index($2, below) == 1 { print $2 }' /proc/mounts 2>/dev/null | sort --reverse)
    rm -rf "$tree"
  done
}

# built STAGE KEY: succeeds if STAGE was completed with KEY
built() {
  [[ -f $CACHE/built/$1/.key && $(<"$CACHE/built/$1/.key") == "$2" ]]
}

# stage NAME KEY COMMAND [ARGUMENT...]: creates the directory CACHE/built/NAME with COMMAND, unless the directory already exists for
# KEY. COMMAND writes its result to the directory OUT, and temporary files to the directory TMP. It may exit, because it runs in a
# subshell. The directory appears in CACHE/built only when it is complete. If two scripts run a stage, the second waits for the first.
stage() {
  local name=$1 key=$2 log=$CACHE/logs/$1.log start
  shift 2
  if built "$name" "$key"; then return; fi
  mkdir -p "$CACHE"/{built,logs,partial}
  exec 9>"$CACHE/lock"
  if ! flock --nonblock 9; then
    log "  waiting for another script that is building in $CACHE"
    flock 9
  fi
  if ! built "$name" "$key"; then
    start=$SECONDS OUT=$CACHE/partial/$name TMP=$CACHE/partial/$name.tmp
    remove_tree "$OUT" "$TMP"
    mkdir "$OUT" "$TMP"
    log "→ $name (log: $log)"
    patiently "building $name" "$@" >"$log" 2>&1
    if ((STATUS != 0)); then
      tail -n 15 "$log" | sed 's/^/    /' >&3
      die "$name failed after $(duration $((SECONDS - start))); see the full log in $log"
    fi
    printf '%s\n' "$key" >"$OUT/.key"
    remove_tree "$CACHE/built/$name" "$TMP"
    mv "$OUT" "$CACHE/built/$name"
    log "✓ $name ($(duration $((SECONDS - start))))"
  fi
  exec 9>&-
}
