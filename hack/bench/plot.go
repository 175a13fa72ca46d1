package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"text/template"
)

//go:embed plot.svg.tmpl
var plotTemplate string

// The dimensions of the plot, in pixels.
const (
	plotLeft  = 240 // left end of the axis
	plotWidth = 560 // length of the axis
	barHeight = 15
	groupGap  = 18
	plotTop   = 84
)

// fewest is the number of seconds at the left end of the logarithmic axis.
const fewest = 0.1

// picture contains the data for the template.
type picture struct {
	Width, Height, Bottom int
	Subtitle              string
	Groups                []group
	Ticks                 []tick
}

type group struct {
	Y     int
	Label string
	Ratio string
	Bars  []bar
}

type bar struct {
	Y, X, Width, Height int
	Class, Text         string
	Floor               int // X of the mark that shows the floor; 0 for no mark
}

type tick struct {
	X    int
	Text string
}

// plot returns an SVG image of the median delivery times.
func (r *results) plot() ([]byte, error) {
	p := picture{Width: plotLeft + plotWidth + 150, Subtitle: fmt.Sprintf(
		"seconds from the image in Docker to the image on the node, medians, %s; %s CPUs, Docker %s, containerd %s",
		r.Machine.Date, r.Machine.CPUs, r.Machine.Docker, r.Machine.Containerd)}
	most, y := 1.0, plotTop
	for _, s := range r.Samples {
		most = max(most, s.Seconds)
	}
	for _, s := range subjects() {
		for _, scenario := range r.scenarios(s) {
			p.Groups = append(p.Groups, r.group(s.Name, scenario, y, most))
			y += 3*barHeight + groupGap
		}
	}
	for _, seconds := range []float64{0.1, 0.3, 1, 3, 10, 30, 100, 300} {
		if seconds <= most {
			p.Ticks = append(p.Ticks, tick{plotLeft + position(seconds, most), fmt.Sprintf("%g s", seconds)})
		}
	}
	p.Bottom, p.Height = y, y+34
	var out bytes.Buffer
	parsed, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return nil, err
	}
	err = parsed.Execute(&out, p)
	return out.Bytes(), err
}

// group returns the bars of one scenario.
func (r *results) group(name, scenario string, y int, most float64) group {
	g := group{Y: y, Label: name + ", " + scenario}
	load, _ := r.median(name, scenario, kindLoad, "delivery")
	own, _ := r.median(name, scenario, ours, "delivery")
	g.Ratio = fmt.Sprintf("%.1f× faster than kind load", load/own)
	for i, m := range []struct{ method, class string }{{kindLoad, "load"}, {dockerPush, "push"}, {ours, "ours"}} {
		seconds, n := r.median(name, scenario, m.method, "delivery")
		if n == 0 {
			continue
		}
		b := bar{
			Y: y + i*barHeight, X: plotLeft, Width: position(seconds, most), Height: barHeight - 2,
			Class: m.class, Text: fmt.Sprintf("%.2f s", seconds),
		}
		if lowest, n := r.median(name, scenario, floor, "delivery"); n > 0 && m.method == ours {
			b.Floor = plotLeft + position(lowest, most)
		}
		g.Bars = append(g.Bars, b)
	}
	return g
}

// position returns the offset of a time on the axis, in pixels.
func position(seconds, most float64) int {
	return max(1, int(plotWidth*math.Log(max(seconds, fewest)/fewest)/math.Log(most/fewest)))
}
