package main

import (
	"fmt"
	"strings"
)

// table returns the medians as Markdown tables.
func (r *results) table() string {
	var w strings.Builder
	m := r.Machine
	fmt.Fprintf(&w, "<!-- written by make bench -->\n# Results of %s\n\n", m.Date)
	fmt.Fprintf(&w, "%s CPUs, %s GiB, Docker %s (%s), %s, Kubernetes %s, containerd %s; seconds, medians.\n\n"+
		"*Linked* is kind-local-registry. `--link=off` is kind-local-registry without linked layers.\n",
		m.CPUs, m.MemoryGiB, m.Docker, m.Storage, m.Kind, m.Kubernetes, m.Containerd)
	r.timesTable(&w, "From the image in Docker to the image on the node", []string{"floor"}, r.deliveryRow)
	r.timesTable(&w, "From the image in Docker to a running pod (`kubectl apply`)", []string{present, "linked − " + present}, r.runningRow)
	r.diskTable(&w)
	w.WriteString("\n## Peak memory (VmHWM, MiB)\n\n| case | container | MiB |\n| --- | --- | ---: |\n")
	for _, m := range r.Memory {
		fmt.Fprintf(&w, "| %s | %s | %.1f |\n", m.Case, m.Container, m.MiB)
	}
	return w.String()
}

// timesTable writes a table of times. row returns the figure to show and the cells that follow those of the methods.
func (r *results) timesTable(w *strings.Builder, title string, columns []string, row func(name, scenario string) (figure string, cells []string)) {
	header := append([]string{"case", "", "`kind load`", "`docker push` + pull", "`--link=off`", "linked"}, columns...)
	header = append(header, "`kind load` / `--link=off`", "`kind load` / linked", "runs")
	fmt.Fprintf(w, "\n## %s\n\n| %s |\n| --- | --- |%s\n", title, strings.Join(header, " | "), strings.Repeat(" ---: |", len(header)-2))
	for _, s := range subjects() {
		for _, scenario := range r.scenarios(s) {
			figure, cells := row(s.Name, scenario)
			load, n := r.median(s.Name, scenario, kindLoad, figure)
			if n == 0 {
				continue
			}
			push, _ := r.median(s.Name, scenario, dockerPush, figure)
			off, _ := r.median(s.Name, scenario, pulled, figure)
			own, _ := r.median(s.Name, scenario, linked, figure)
			cells = append([]string{s.Name, scenario, seconds(load), seconds(push), seconds(off), bold(seconds(own))}, cells...)
			cells = append(cells, times(load, off), bold(times(load, own)), fmt.Sprint(n))
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		}
	}
}

// deliveryRow returns the cell with the floor.
func (r *results) deliveryRow(name, scenario string) (figure string, cells []string) {
	lowest, _ := r.median(name, scenario, floor, "delivery")
	return "delivery", []string{seconds(lowest)}
}

// runningRow returns the cells with the time of a pod whose image the node has, and with how much longer a pod takes whose image
// is linked.
func (r *results) runningRow(name, scenario string) (figure string, cells []string) {
	least, _ := r.median(name, first, present, "running") // it is the same for all scenarios
	own, _ := r.median(name, scenario, linked, "running")
	if least == 0 || own == 0 {
		return "running", []string{seconds(least), none}
	}
	return "running", []string{seconds(least), fmt.Sprintf("%+.2f", own-least)}
}

// diskTable writes the table of disk space, unless none was measured.
func (r *results) diskTable(w *strings.Builder) {
	if len(r.Disk) == 0 {
		return
	}
	w.WriteString("\n## Disk space of the image on the node alone (percent of the image's size)\n\n" +
		"| case | `kind load` | `docker push` + pull | `--link=off` | linked |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, s := range subjects() {
		cells := []string{s.Name}
		for _, method := range []string{kindLoad, dockerPush, pulled, linked} {
			cells = append(cells, orNone(r.percent(s.Name, method), "%.2f %%"))
		}
		if r.percent(s.Name, linked) > 0 {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		}
	}
}

// none stands for a figure that was not measured.
const none = "–"

func seconds(s float64) string { return orNone(s, "%.2f") }

// times returns how many times as fast own is as other.
func times(other, own float64) string {
	if own == 0 {
		return none
	}
	return orNone(other/own, "%.1f×")
}

func orNone(figure float64, format string) string {
	if figure == 0 {
		return none
	}
	return fmt.Sprintf(format, figure)
}

func bold(cell string) string {
	if cell == none {
		return cell
	}
	return "**" + cell + "**"
}
