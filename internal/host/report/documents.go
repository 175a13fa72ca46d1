package report

// Up is the document of setup up. The facts are those after the run.
type Up struct {
	Facts
	// Changed reports whether up changed anything.
	Changed bool `json:"changed"`
	// Foreign lists what up changed although setup did not create it.
	Foreign []Change `json:"foreign"`
	// Steps lists the steps that ran, in order. If a step failed, it is the last one.
	Steps []Step `json:"steps"`
	// Duration is how long up took.
	Duration Seconds `json:"duration"`
	// Error is the error with which up failed. It is omitted if up succeeded.
	Error string `json:"error,omitempty"`
}

// Down is the document of setup down. The facts are those after the run.
type Down struct {
	Facts
	// DryRun reports that --dry-run was given, so nothing was changed.
	DryRun bool `json:"dryRun"`
	// Plan lists what down removes and keeps, in order.
	Plan []Change `json:"plan"`
	// Steps lists the steps that were undone, in order. It is empty after --dry-run.
	Steps []Step `json:"steps"`
	// Duration is how long down took, including the wait for a confirmation.
	Duration Seconds `json:"duration"`
	// Error is the error with which down failed. It is omitted if down succeeded.
	Error string `json:"error,omitempty"`
}

// Status is the document of setup status.
type Status struct {
	Facts
	// OK reports whether all checks passed.
	OK bool `json:"ok"`
	// Checks lists the checks, in the order in which up applies the steps.
	Checks []Check `json:"checks"`
}

// Push is one element of the array that setup push prints. It describes one image.
type Push struct {
	// Image is the reference that the user gave.
	Image string `json:"image"`
	// Rewritten is the reference that pods run, such as localhost:5001/app:local@sha256:…. It is omitted if the push failed.
	Rewritten string `json:"rewritten,omitempty"`
	// Digest is the digest of the image manifest, such as sha256:…. It is omitted if the push failed.
	Digest string `json:"digest,omitempty"`
	// Bytes is the number of bytes that were copied to the registry.
	Bytes int64 `json:"bytes"`
	// PresentBytes is the number of bytes that the registry already had.
	PresentBytes int64 `json:"presentBytes"`
	// Uploaded is the number of blobs that were copied to the registry.
	Uploaded int `json:"uploaded"`
	// Present is the number of blobs that the registry already had.
	Present int `json:"present"`
	// Duration is how long the push took, including the wait for other pushes.
	Duration Seconds `json:"duration"`
	// Reason is a code from docs/reasons.md if the image can never be pushed. It is omitted if a retry may succeed.
	Reason string `json:"reason,omitempty"`
	// Error explains why the image was not pushed. It is omitted if the image is in the registry.
	Error string `json:"error,omitempty"`
	// Nodes lists the nodes of all kind clusters with the layers that they have. It is omitted if linking is off.
	Nodes []NodeLayers `json:"nodes,omitempty"`
}

// NodeLayers describes how many of an image's layers a node has.
type NodeLayers struct {
	// Name is the name of the node's container.
	Name string `json:"name"`
	// Cluster is the name of the node's kind cluster.
	Cluster string `json:"cluster"`
	// Unlinkable is a code from docs/linking.md if the node pulls layers. It is omitted if the node gets layers as hard links.
	Unlinkable string `json:"unlinkable,omitempty"`
	// Detail explains Unlinkable to people.
	Detail string `json:"detail,omitempty"`
	// Layers is the number of the image's layers.
	Layers int `json:"layers"`
	// Present is the number of layers that the node has, counted from the lowest.
	Present int `json:"present"`
}

// Explained is one element of the array that setup explain prints. It describes the decision about one image field, or about an
// IMAGE argument, which has no place and no field.
type Explained struct {
	Place
	// Field is the path of the image field, such as spec.containers{app}.
	Field string `json:"field,omitempty"`
	// Image is the original image.
	Image string `json:"image"`
	// Outcome is one of: rewritten, pushed first, left alone.
	Outcome string `json:"outcome"`
	// Reason is a code from docs/reasons.md.
	Reason string `json:"reason"`
	// Detail explains the reason. It is omitted if there is nothing to add.
	Detail string `json:"detail,omitempty"`
	// Rewritten is the rewritten image. It is omitted if the image is left alone.
	Rewritten string `json:"rewritten,omitempty"`
	// Digest is the digest of the image manifest in the registry. It is omitted if the image is not in the registry.
	Digest string `json:"digest,omitempty"`
}

// Place locates a pod in the manifests.
type Place struct {
	// File is the manifest's file, or "standard input".
	File string `json:"file,omitempty"`
	// Line is the first line of the object, counted from 1.
	Line int `json:"line,omitempty"`
	// Kind is the object's kind, such as Deployment.
	Kind string `json:"kind,omitempty"`
	// Namespace is the object's namespace.
	Namespace string `json:"namespace,omitempty"`
	// Name is the object's name.
	Name string `json:"name,omitempty"`
}

// Version is the document of setup version.
type Version struct {
	// Version is setup's version, such as v0.1.0.
	Version string `json:"version"`
	// Commit is the commit that setup was built from. It is omitted if the build did not record it.
	Commit string `json:"commit,omitempty"`
	// CommitTime is the commit's time, in RFC 3339. It is omitted if the build did not record it.
	CommitTime string `json:"commitTime,omitempty"`
	// Modified reports whether the source differed from the commit.
	Modified bool `json:"modified"`
	// Go is the version of Go that built setup, such as go1.26.8.
	Go string `json:"go"`
	// Platform is the operating system and the architecture, such as linux/amd64.
	Platform string `json:"platform"`
}
