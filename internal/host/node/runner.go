package node

import "context"

// Runner runs shell scripts on a node.
type Runner interface {
	// Run runs a script with sh -e and the arguments $1, $2 and so on, and returns what it printed to stdout. The error contains
	// what the script printed to stderr.
	Run(ctx context.Context, script string, args ...string) (stdout []byte, err error)
}

// backup is the suffix of backup copies. setup keeps such a copy of each file that it replaces.
const backup = ".before-kind-local-registry"

// The scripts receive values as arguments, so that values need no quoting.
const (
	// readScript prints the file $1, or nothing if it does not exist.
	readScript = `if [ -e "$1" ]; then cat "$1"; fi`

	// writeScript writes the content $2 to the file $1. If $3 is not empty, it first copies the old file to $3, unless an earlier
	// run already did. Both files are written under temporary names and then renamed, so that an interrupted run leaves no
	// incomplete file.
	writeScript = `
mkdir -p "$(dirname "$1")"
printf %s "$2" >"$1.new"
if [ -n "$3" ] && [ ! -e "$3" ]; then
	cp -p "$1" "$3.new"
	mv "$3.new" "$3"
fi
mv "$1.new" "$1"`

	// restoreScript removes the hosts.toml $1 if it contains the line $2, and removes its directory if that leaves the directory
	// empty. It restores the backups of $1 and of containerd's configuration $3, whose names end with the suffix $4.
	restoreScript = `
rm -f "$1.new" "$1$4.new" "$3.new" "$3$4.new"
if grep -qsxF -e "$2" "$1"; then rm -f "$1"; fi
if [ -e "$1$4" ]; then mv "$1$4" "$1"; fi
rmdir "$(dirname "$1")" 2>/dev/null || true
if [ -e "$3$4" ]; then
	mv "$3$4" "$3"
	systemctl restart containerd
fi`

	// planScript prints what restoreScript would do with the same arguments, and what restoreProxyScript would do with the file $5: lines
	// such as "restore FILE" and "restart containerd".
	planScript = `
if [ -e "$1$4" ]; then
	echo "restore $1"
elif grep -qsxF -e "$2" "$1"; then
	echo "delete $1"
fi
restart=
if [ -e "$3$4" ]; then
	echo "restore $3"
	restart=yes
fi
if grep -qsxF -e "$2" "$5"; then
	echo "delete $5"
	restart=yes
fi
if [ -n "$restart" ]; then echo "restart containerd"; fi`

	// containerdScript prints containerd's version on the first line and its effective configuration on the following lines.
	containerdScript = `containerd --version; containerd config dump`

	containerdVersionScript = `containerd --version`

	// configureContainerdScript writes the content $2 to containerd's configuration file $1 and restarts containerd. It backs up the
	// file, unless an earlier run already did; the backup's name ends with the suffix $3. If containerd does not start, it restores
	// the file.
	configureContainerdScript = `
if [ -e "$1" ] && [ ! -e "$1$3" ]; then
	cp -p "$1" "$1$3.new"
	mv "$1$3.new" "$1$3"
fi
printf %s "$2" >"$1.new"
mv "$1.new" "$1"
if ! systemctl restart containerd; then
	if [ -e "$1$3" ]; then mv "$1$3" "$1"; else rm "$1"; fi
	systemctl restart containerd || true
	echo "containerd does not start with our config_path in $1, so the file was restored; see journalctl -u containerd" >&2
	exit 1
fi`

	// containerdStartScript prints an ID that differs after each start of containerd.
	containerdStartScript = `systemctl show containerd --property InvocationID --value`

	// controlPlaneScript prints three JSON values: the node's pods, its running containers, and the status of the API server's response
	// to a readiness check, which is 000 if there is none. It prints nothing if the file $1 does not exist.
	controlPlaneScript = `
if [ ! -e "$1" ]; then exit; fi
crictl pods --output json
crictl ps --output json
curl -sk -m 2 -o /dev/null -w '"%{http_code}"' --noproxy "*" https://localhost:6443/readyz || true`

	// resolveScript prints the addresses of the host name $1, one on each line, or nothing if it does not resolve.
	resolveScript = `getent ahosts "$1" || true`

	// routesScript prints the node's IPv4 and IPv6 routes, as two JSON arrays. Without IPv6 in the kernel, it prints only the first.
	routesScript = `
ip -j route
ip -j -6 route 2>/dev/null || true`

	// pullScript pulls the image $1 and removes it again.
	pullScript = `
crictl pull "$1" >/dev/null
crictl rmi "$1" >/dev/null 2>&1 || true`

	// clockScript prints the node's time in seconds since 1970.
	clockScript = `date +%s`

	// proxyScript prints the variables of the running containerd's environment that concern proxies.
	proxyScript = `
pid=$(systemctl show containerd --property MainPID --value)
if [ -r "/proc/${pid:-0}/environ" ]; then tr '\000' '\n' <"/proc/$pid/environ" | grep -iE '^(http|https|no)_proxy=' || true; fi`

	// configureProxyScript writes the content $2 to the file $1 with settings of containerd's unit, and restarts containerd.
	configureProxyScript = `
mkdir -p "$(dirname "$1")"
printf %s "$2" >"$1.new"
mv "$1.new" "$1"
systemctl daemon-reload
systemctl restart containerd`

	// restoreProxyScript removes the file $1 with settings of containerd's unit if it contains the line $2, and restarts containerd.
	restoreProxyScript = `
rm -f "$1.new"
if grep -qsxF -e "$2" "$1"; then
	rm "$1"
	rmdir "$(dirname "$1")" 2>/dev/null || true
	systemctl daemon-reload
	systemctl restart containerd
fi`

	// kubeletScript prints the kubelet's version on the first line and its configuration file $1 on the following lines. It prints
	// nothing if the node has no kubelet, or no configuration for it.
	kubeletScript = `if command -v kubelet >/dev/null && [ -e "$1" ]; then kubelet --version; cat "$1"; fi`

	// configureKubeletScript writes the content $2 to the kubelet's configuration file $1 and restarts the kubelet. If the URL $3 does
	// not answer within 30 seconds, it restores the file from its backup, whose name ends with the suffix $4.
	configureKubeletScript = `
cp -p "$1" "$1$4"
printf %s "$2" >"$1.new"
mv "$1.new" "$1"
systemctl restart kubelet
for _ in $(seq 60); do
	if [ -z "$3" ] || curl -fs -o /dev/null --noproxy "*" "$3"; then
		rm "$1$4"
		exit
	fi
	sleep 0.5
done
mv "$1$4" "$1"
systemctl restart kubelet
echo "the kubelet does not answer at $3; see journalctl -u kubelet" >&2
exit 1`

	// recordsScript prints the records of pulled images in the kubelet's directory $1 that contain the text $2. Each line has a
	// record's file name, a tab and the record.
	recordsScript = `
for file in "$1"/pulled/sha256-*[0-9a-f]; do
	if grep -qsF -e "$2" "$file"; then
		printf '%s\t%s\n' "$(basename "$file")" "$(tr -d '\n' <"$file")"
	fi
done`

	// restoreKubeletScript stops the kubelet, writes the content $2 to its configuration file $1, removes the records of unfinished
	// pulls in the directory $3 that contain the text $4, and starts the kubelet. The other arguments are pairs of a file name and the
	// content of a record of a pulled image. A record without content is removed.
	restoreKubeletScript = `
systemctl stop kubelet
trap 'systemctl start kubelet' EXIT
printf %s "$2" >"$1.new"
mv "$1.new" "$1"
directory=$3
for file in "$directory"/pulling/sha256-*; do
	if grep -qsF -e "$4" "$file"; then rm -f "$file"; fi
done
shift 4
while [ $# -gt 0 ]; do
	if [ -n "$2" ]; then
		printf %s "$2" >"$directory/pulled/$1.tmp"
		mv "$directory/pulled/$1.tmp" "$directory/pulled/$1"
	else
		rm -f "$directory/pulled/$1"
	fi
	shift 2
done`
)
