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
	plotTop   = 104
)

// fewest is the number of seconds at the left end of the logarithmic axis.
const fewest = 0.02

// picture contains the data for the template.
type picture struct {
	Width, Height, Bottom int
	Subtitle              string
	Groups                []group
	Ticks                 []tick
}

type group struct {
	Middle int // Y of the middle
	Label  string
	Ratio  string
	Bars   []bar
}

type bar struct {
	Y, X, Width, Height int
	End                 int // X of the text
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
			g := r.group(s.Name, scenario, y, most)
			p.Groups = append(p.Groups, g)
			y += len(g.Bars)*barHeight + groupGap
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

// group returns the bars of one scenario, from y downwards. A method without a measurement has no bar.
func (r *results) group(name, scenario string, y int, most float64) group {
	load, _ := r.median(name, scenario, kindLoad, "delivery")
	own, _ := r.median(name, scenario, r.best(name, scenario), "delivery")
	g := group{Label: name + ", " + scenario, Ratio: ratio(load/own) + " as fast as kind load"}
	for _, m := range []struct{ method, class string }{
		{kindLoad, "load"}, {dockerPush, "push"}, {pulled, "pulled"}, {linked, "linked"},
	} {
		seconds, n := r.median(name, scenario, m.method, "delivery")
		if n == 0 {
			continue
		}
		width := position(seconds, most)
		b := bar{
			Y: y + len(g.Bars)*barHeight, X: plotLeft, Width: width, Height: barHeight - 2, End: plotLeft + width + 5,
			Class: m.class, Text: fmt.Sprintf("%.2f s", seconds),
		}
		if lowest, n := r.median(name, scenario, floor, "delivery"); n > 0 && m.method == pulled {
			b.Floor = plotLeft + position(lowest, most)
		}
		g.Bars = append(g.Bars, b)
	}
	g.Middle = y + len(g.Bars)*barHeight/2
	return g
}

// ratio returns a ratio with two or three digits.
func ratio(r float64) string {
	if r < 10 {
		return fmt.Sprintf("%.1f×", r)
	}
	return fmt.Sprintf("%.0f×", r)
}

// position returns the offset of a time on the axis, in pixels.
func position(seconds, most float64) int {
	return max(1, int(plotWidth*math.Log(max(seconds, fewest)/fewest)/math.Log(most/fewest)))
}
