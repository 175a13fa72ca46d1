package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// results contains what a run measured. results.json has the same structure.
type results struct {
	Machine machine  `json:"machine"`
	Memory  []memory `json:"memory"`
	Disk    []disk   `json:"disk,omitempty"`
	Samples []sample `json:"samples"`
}

// machine describes the machine on which the benchmark ran.
type machine struct {
	Date       string `json:"date"`
	CPUs       string `json:"cpus"`
	MemoryGiB  string `json:"memoryGiB"`
	Docker     string `json:"docker"`
	Storage    string `json:"storage"`
	Kind       string `json:"kind"`
	Kubernetes string `json:"kubernetes"`
	Containerd string `json:"containerd"`
}

// memory records the peak resident set size of a container's process during a case.
type memory struct {
	Case      string  `json:"case"`
	Container string  `json:"container"`
	MiB       float64 `json:"mebibytes"`
}

// sample records one measurement.
type sample struct {
	Case     string `json:"case"`
	Scenario string `json:"scenario"`
	Method   string `json:"method"`
	// Figure is what was measured: delivery (from the daemon to the node), upload (the part of the delivery from the daemon to the
	// registry), or running (from the beginning of the delivery until the pod runs).
	Figure  string  `json:"figure"`
	Round   int     `json:"round"`
	Seconds float64 `json:"seconds"`
}

func (r *results) add(s sample) { r.Samples = append(r.Samples, s) }

// drop removes the results of these cases.
func (r *results) drop(cases []subject) {
	for _, c := range cases {
		r.Samples = slices.DeleteFunc(r.Samples, func(s sample) bool { return s.Case == c.Name })
		r.Memory = slices.DeleteFunc(r.Memory, func(m memory) bool { return m.Case == c.Name })
		r.Disk = slices.DeleteFunc(r.Disk, func(d disk) bool { return d.Case == c.Name })
	}
}

// addPeak records a peak unless a higher peak of the same case and container is already recorded.
func (r *results) addPeak(m memory) {
	for i, known := range r.Memory {
		if known.Case == m.Case && known.Container == m.Container {
			r.Memory[i].MiB = max(known.MiB, m.MiB)
			return
		}
	}
	r.Memory = append(r.Memory, m)
}

// last returns the latest measurement of a figure, in seconds.
func (r *results) last(name, scenario, method, figure string) (seconds float64) {
	for _, s := range r.Samples {
		if s.Case == name && s.Scenario == scenario && s.Method == method && s.Figure == figure {
			seconds = s.Seconds
		}
	}
	return seconds
}

// median returns the median of a figure's measurements, in seconds, and the number of measurements.
func (r *results) median(name, scenario, method, figure string) (seconds float64, n int) {
	var found []float64
	for _, s := range r.Samples {
		if s.Case == name && s.Scenario == scenario && s.Method == method && s.Figure == figure {
			found = append(found, s.Seconds)
		}
	}
	return median(found), len(found)
}

// percent returns the median disk space that an image takes on a node, as a percentage of the image's size. It returns 0 if that
// was not measured.
func (r *results) percent(name, method string) float64 {
	var found []float64
	for _, d := range r.Disk {
		if d.Case == name && d.Method == method {
			found = append(found, d.percent())
		}
	}
	return median(found)
}

// median returns the median of the numbers, or 0 if there are none.
func median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	slices.Sort(numbers)
	half := len(numbers) / 2
	return (numbers[half] + numbers[(len(numbers)-1)/2]) / 2
}

// best returns this project's faster method for the scenario: linked, or pulled if the results are from before linking existed.
func (r *results) best(name, scenario string) string {
	if _, n := r.median(name, scenario, linked, "delivery"); n > 0 {
		return linked
	}
	return pulled
}

// assert returns an error unless linking makes the first delivery of each case at least atLeast times as fast as kind load. If
// atLeast is 0, it returns nil.
func (r *results) assert(cases []subject, atLeast float64) error {
	var faults []error
	for _, s := range cases {
		load, _ := r.median(s.Name, first, kindLoad, "delivery")
		own, _ := r.median(s.Name, first, linked, "delivery")
		switch {
		case atLeast == 0:
		case load == 0 || own == 0:
			faults = append(faults, fmt.Errorf("%s: the %s was not measured with both %q and %q", s.Name, first, kindLoad, linked))
		case load/own < atLeast:
			faults = append(faults, fmt.Errorf("%s: linking makes the %s %.1f times as fast as kind load (%.2f s instead of %.2f s), want at least %g times",
				s.Name, first, load/own, own, load, atLeast))
		}
	}
	return errors.Join(faults...)
}

// scenarios returns those scenarios of a case that have results.
func (r *results) scenarios(s subject) (measured []string) {
	for _, scenario := range s.Scenarios {
		if _, n := r.median(s.Name, scenario, r.best(s.Name, scenario), "delivery"); n > 0 {
			measured = append(measured, scenario)
		}
	}
	return measured
}

const resultsFile = "results.json"

func readResults(directory string) (r results, err error) {
	content, err := os.ReadFile(filepath.Join(directory, resultsFile)) // #nosec G304 -- the caller names the directory
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(content, &r)
}

// write writes the results as JSON, as tables and as a plot.
func (r *results) write(directory string) error {
	content, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	plot, err := r.plot()
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(directory, 0o755), // #nosec G301 -- documentation
		write(directory, resultsFile, append(content, '\n')),
		write(directory, "results.md", []byte(r.table())),
		write(directory, "results.svg", plot))
}

func write(directory, name string, content []byte) error {
	return os.WriteFile(filepath.Join(directory, name), content, 0o644) // #nosec G306 -- documentation
}
