package report

// Facts describes the whole system. What cannot be read is omitted.
type Facts struct {
	// Setup is setup's version, such as v0.1.0.
	Setup string `json:"setup"`
	// Docker is the host's Docker daemon.
	Docker Docker `json:"docker"`
	// Cluster is the kind cluster.
	Cluster Cluster `json:"cluster"`
	// Registry is the registry's container.
	Registry Registry `json:"registry"`
	// Pusher is the pusher's container.
	Pusher Container `json:"pusher"`
	// Linker is the linker's container. Its state is absent if layers are not linked.
	Linker Container `json:"linker"`
	// Webhook is the webhook in the cluster.
	Webhook Webhook `json:"webhook"`
}

// Docker describes the Docker daemon.
type Docker struct {
	// Version is the daemon's version, such as 29.8.0.
	Version string `json:"version"`
	// Driver is the daemon's storage driver, such as overlay2.
	Driver string `json:"driver"`
	// Socket is the path of the daemon's socket.
	Socket string `json:"socket"`
}

// Cluster describes the kind cluster.
type Cluster struct {
	// Name is the cluster's name.
	Name string `json:"name"`
	// State is one of: absent, stopped (at least one node), silent (its API server does not answer), running.
	State string `json:"state"`
	// Origin is created if setup created the cluster, and adopted otherwise. It is omitted if the cluster is absent.
	Origin string `json:"origin,omitempty"`
	// Context is the cluster's context in the kubeconfig.
	Context string `json:"context"`
	// Kubernetes is the API server's version, such as v1.37.2.
	Kubernetes string `json:"kubernetes,omitempty"`
	// Nodes lists the Kubernetes nodes.
	Nodes []Node `json:"nodes"`
}

// Node describes a Kubernetes node.
type Node struct {
	// Name is the node's name, and the name of its container.
	Name string `json:"name"`
	// Kubelet is the kubelet's version, such as v1.37.2.
	Kubelet string `json:"kubelet"`
	// Containerd is containerd's version, such as 2.3.0.
	Containerd string `json:"containerd"`
}

// Registry describes the registry.
type Registry struct {
	Container
	// Host is the registry's host in image references, such as localhost:5001.
	Host string `json:"host"`
	// Port is the registry's port on 127.0.0.1.
	Port int `json:"port"`
	// URL is the registry's URL on the host, such as http://127.0.0.1:5001.
	URL string `json:"url"`
}

// Container describes a container on the host.
type Container struct {
	// Container is the container's name.
	Container string `json:"container"`
	// State is absent if there is no such container, and otherwise Docker's word for it, such as running or exited.
	State string `json:"state"`
	// Origin is created if setup created the container, and adopted otherwise. It is omitted if there is no container.
	Origin string `json:"origin,omitempty"`
	// Image is the ID of the container's image, such as sha256:….
	Image string `json:"image,omitempty"`
	// Address is the container's address on the kind network.
	Address string `json:"address,omitempty"`
}

// Webhook describes the webhook in the cluster.
type Webhook struct {
	// Image is the image that the webhook runs.
	Image string `json:"image,omitempty"`
	// Digest is the digest of that image's manifest, such as sha256:….
	Digest string `json:"digest,omitempty"`
	// Available is the number of available replicas.
	Available int `json:"available"`
	// RestartOnRebuild is true if the webhook restarts workloads that ask for it on a rebuild.
	RestartOnRebuild bool `json:"restartOnRebuild"`
}
