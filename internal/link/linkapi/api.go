// Package linkapi is the linker's API, which the registry and the pusher use through a Unix socket.
//
//	POST /v1/link {"address":…,"layers":[…]}  lines: {"files":…}, and last {"result":{…}} or {"error":…}
//	POST /v1/check {"layers":[…]}             {"unlinkable":REASON,"detail":…}
//	POST /v1/prelink {"layers":[…]}           nothing
//	POST /v1/break {"layers":[…]}             nothing
//	POST /v1/present {"layers":[…]}           [{"name":…,"cluster":…,"unlinkable":REASON,"detail":…,"layers":…,"present":…}]
//	GET  /v1/nodes                            [{"name":…,"cluster":…,"unlinkable":REASON,"detail":…}]
//	GET  /metrics                             Prometheus metrics
package linkapi

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// The paths of the API.
const (
	LinkPath    = "/v1/link"
	CheckPath   = "/v1/check"
	PrelinkPath = "/v1/prelink"
	BreakPath   = "/v1/break"
	PresentPath = "/v1/present"
	NodesPath   = "/v1/nodes"
)

// Heartbeat is the maximum time between two lines of the response to a link request while the linker makes progress.
const Heartbeat = 250 * time.Millisecond

// MaxRequest is the limit in bytes for a request, and for a line of a response.
const MaxRequest = 256 << 10

// Request is the body of every POST request.
type Request struct {
	// Address is the IP address of the node. Only link requests have it.
	Address string `json:"address,omitempty"`
	// Layers are the diffIDs of the image's layers, lowest first.
	Layers []digest.Digest `json:"layers"`
}

// Message is a line of the response to a link request. The last one has a result or an error.
type Message struct {
	// Files is the number of files linked so far.
	Files  int64   `json:"files,omitempty"`
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Result tells which of an image's layers a node has.
type Result struct {
	// Node is the node's name.
	Node string `json:"node"`
	// Layers is the number of the image's layers. Present is how many of them the node already had, counted from the lowest, and
	// Linked is how many it was given.
	Layers  int `json:"layers"`
	Present int `json:"present"`
	Linked  int `json:"linked"`
	// Files is the number of files in the layers that were linked.
	Files int64 `json:"files"`
}

// Complete reports whether the node has every layer.
func (r Result) Complete() bool { return r.Present+r.Linked == r.Layers }

// Node reports whether a kind node can be given layers.
type Node struct {
	// Name is the name of the node's container, and Cluster that of its kind cluster.
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	State
}

// NodeLayers tells how many of an image's layers a kind node has.
type NodeLayers struct {
	Node
	// Layers is the number of the image's layers. Present is how many of them the node has, counted from the lowest.
	Layers  int `json:"layers"`
	Present int `json:"present"`
}

// Complete reports whether the node has every layer.
func (n NodeLayers) Complete() bool { return n.Present == n.Layers }

// State tells why layers cannot be linked. The zero State means that they can.
type State struct {
	// Unlinkable is the reason why layers are pulled instead.
	Unlinkable Reason `json:"unlinkable,omitempty"`
	// Detail explains the reason to people.
	Detail string `json:"detail,omitempty"`
}

// Reason is the reason why layers cannot be linked. The list is closed.
type Reason string

// The reasons.
const (
	// StorageDriver means that the Docker daemon does not store layers as overlayfs directories.
	StorageDriver Reason = "StorageDriver"
	// OverlayFeature means that the daemon's layers use metacopy or redirect_dir, so that a directory is not a whole layer.
	OverlayFeature Reason = "OverlayFeature"
	// RemappedUsers means that the daemon runs containers in a user namespace (userns-remap or rootless), so the files'
	// owners differ from those in the image.
	RemappedUsers Reason = "RemappedUsers"
	// StoreUnreachable means that the containerd in which the daemon keeps its layers does not answer.
	StoreUnreachable Reason = "StoreUnreachable"
	// OtherFileSystem means that the node's files are on another file system or mount than the daemon's.
	OtherFileSystem Reason = "OtherFileSystem"
	// OtherSnapshotter means that the node's containerd does not use the overlayfs snapshotter.
	OtherSnapshotter Reason = "OtherSnapshotter"
	// LinkRefused means that the kernel refused a test link, for example because of project quotas or a security module.
	LinkRefused Reason = "LinkRefused"
	// LayerMissing means that the daemon does not have every layer of the image.
	LayerMissing Reason = "LayerMissing"
	// Broken means that a push found content that does not match the image's digests.
	Broken Reason = "Broken"
	// NodeUnreachable means that the node's containerd does not answer.
	NodeUnreachable Reason = "NodeUnreachable"
	// NoNode means that the daemon runs no kind node.
	NoNode Reason = "NoNode"
)
