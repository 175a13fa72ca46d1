package report

import (
	"math"
	"time"

	"kind-local-registry/internal/host/step"
)

// Seconds is a duration in seconds, with at most three decimals.
type Seconds float64

// Duration converts a duration.
func Duration(d time.Duration) Seconds { return Seconds(math.Round(d.Seconds()*1000) / 1000) }

// Change is what up or down does to one object.
type Change struct {
	// Action is one of: delete, keep, restore (to the state from before up), adopt, start, connect, replace, restart, try (to delete what
	// could not be read).
	Action string `json:"action"`
	// Kind is one of: cluster, container, volume, image, network, file, service, release (of Helm), namespace, ConfigMap, parts (all that
	// a step created).
	Kind string `json:"kind"`
	// Name is the object's name, reference or path.
	Name string `json:"name"`
	// Node is the name of the node that the object is on. It is omitted if the object is on none.
	Node string `json:"node,omitempty"`
	// Detail explains the change.
	Detail string `json:"detail,omitempty"`
	// Bytes is the object's size. It is omitted if the size is unknown or the object has none.
	Bytes int64 `json:"bytes,omitempty"`
	// Undo says how the change is undone.
	Undo string `json:"undo,omitempty"`
	// Loss reports that setup cannot undo the change. Such a change needs a confirmation or --yes.
	Loss bool `json:"loss"`
}

// Step is the outcome of applying or undoing one step.
type Step struct {
	// Step is the step's name.
	Step string `json:"step"`
	// Changed reports whether the step changed anything. down reports true for every step.
	Changed bool `json:"changed"`
	// Detail describes what the step found or did.
	Detail string `json:"detail,omitempty"`
	// Duration is how long the step took.
	Duration Seconds `json:"duration"`
	// Error is the error with which the step failed. It is omitted if the step succeeded.
	Error string `json:"error,omitempty"`
}

// Check is the outcome of one check.
type Check struct {
	// Step is the step's name.
	Step string `json:"step"`
	// OK reports whether the check passed.
	OK bool `json:"ok"`
	// Detail describes what was found.
	Detail string `json:"detail"`
	// Remedy says what to do. It is omitted if the check passed.
	Remedy string `json:"remedy,omitempty"`
	// Duration is how long the check took.
	Duration Seconds `json:"duration"`
}

// Changes converts the changes. It returns an empty slice, not nil, if there are none.
func Changes(changes []step.Change) []Change {
	all := make([]Change, 0, len(changes))
	for _, c := range changes {
		all = append(all, Change{
			Action: string(c.Action), Kind: string(c.Kind), Name: c.Name, Node: c.Node, Detail: c.Detail, Bytes: c.Bytes,
			Undo: c.Back, Loss: c.Loss,
		})
	}
	return all
}

// Steps converts the results. It returns an empty slice, not nil, if there are none.
func Steps(results []step.Result) []Step {
	all := make([]Step, 0, len(results))
	for _, r := range results {
		converted := Step{Step: r.Step, Changed: r.Changed, Detail: r.Detail, Duration: Duration(r.Duration)}
		if r.Err != nil {
			converted.Error = r.Err.Error()
		}
		all = append(all, converted)
	}
	return all
}

// Checks converts the statuses. It returns an empty slice, not nil, if there are none.
func Checks(statuses []step.Status) []Check {
	all := make([]Check, 0, len(statuses))
	for _, s := range statuses {
		all = append(all, Check{Step: s.Step, OK: s.OK, Detail: s.Detail, Remedy: s.Remedy, Duration: Duration(s.Duration)})
	}
	return all
}
