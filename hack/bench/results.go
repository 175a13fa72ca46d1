package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// results contains what a run measured. results.json has the same structure.
type results struct {
	Machine machine  `json:"machine"`
	Memory  []memory `json:"memory"`
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
	if len(found) == 0 {
		return 0, 0
	}
	slices.Sort(found)
	middle := len(found) / 2
	if len(found)%2 == 0 {
		return (found[middle-1] + found[middle]) / 2, len(found)
	}
	return found[middle], len(found)
}

// scenarios returns those scenarios of a case that have results.
func (r *results) scenarios(s subject) (measured []string) {
	for _, scenario := range s.Scenarios {
		if _, n := r.median(s.Name, scenario, ours, "delivery"); n > 0 {
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

// table returns the medians as Markdown tables.
func (r *results) table() string {
	var w strings.Builder
	m := r.Machine
	fmt.Fprintf(&w, "<!-- written by make bench -->\n# Results of %s\n\n", m.Date)
	fmt.Fprintf(&w, "%s CPUs, %s GiB, Docker %s (%s), %s, Kubernetes %s, containerd %s; seconds, medians.\n",
		m.CPUs, m.MemoryGiB, m.Docker, m.Storage, m.Kind, m.Kubernetes, m.Containerd)
	for _, figure := range []struct{ key, title string }{
		{"delivery", "From the image in Docker to the image on the node"},
		{"running", "From the image in Docker to a running pod (`kubectl apply`)"},
	} {
		fmt.Fprintf(&w, "\n## %s\n\n| case | | `kind load` | `docker push` + pull | ours | floor | `kind load` / ours | push / ours | runs |\n", figure.title)
		w.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
		for _, s := range subjects() {
			for _, scenario := range r.scenarios(s) {
				r.row(&w, s.Name, scenario, figure.key)
			}
		}
	}
	w.WriteString("\n## Peak memory (VmHWM, MiB)\n\n| case | container | MiB |\n| --- | --- | ---: |\n")
	for _, m := range r.Memory {
		fmt.Fprintf(&w, "| %s | %s | %.1f |\n", m.Case, m.Container, m.MiB)
	}
	return w.String()
}

// row writes one row of a table unless a measurement is missing.
func (r *results) row(w *strings.Builder, name, scenario, figure string) {
	load, n := r.median(name, scenario, kindLoad, figure)
	push, _ := r.median(name, scenario, dockerPush, figure)
	own, _ := r.median(name, scenario, ours, figure)
	lowest, _ := r.median(name, scenario, floor, figure)
	if n == 0 || own == 0 {
		return
	}
	fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | **%.2f** | %s | **%.1f×** | %.1f× | %d |\n",
		name, scenario, load, push, own, orDash(lowest), load/own, push/own, n)
}

func orDash(seconds float64) string {
	if seconds == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", seconds)
}
