package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoRounds are results of one scenario, with medians 10, 4 and 2 s.
func twoRounds() *results {
	var r results
	for method, seconds := range map[string][]float64{kindLoad: {9, 11}, dockerPush: {4, 4}, ours: {1, 3}, floor: {1, 1}} {
		for round, s := range seconds {
			r.add(sample{"858MB", first, method, "delivery", round, s})
		}
	}
	return &r
}

func TestTable_ShowsMediansAndRatios(t *testing.T) {
	t.Parallel()
	want := "| 858MB | first delivery | 10.00 | 4.00 | **2.00** | 1.00 | **5.0×** | 2.0× | 2 |"
	if table := twoRounds().table(); !strings.Contains(table, want) {
		t.Errorf("table() lacks %q:\n%s", want, table)
	}
}

func TestPlot_IsXMLWithABarAMethod(t *testing.T) {
	t.Parallel()
	plot, err := twoRounds().plot()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(plot))); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("plot: %v\n%s", err, plot)
		}
	}
	for _, want := range []string{`class="load"/>`, `class="push"/>`, `class="ours"/>`, "10.00 s", "4.00 s", "2.00 s", "5.0× faster"} {
		if !strings.Contains(string(plot), want) {
			t.Errorf("plot lacks %q", want)
		}
	}
}

func TestPosition_KeepsTheOrderOfTimes(t *testing.T) {
	t.Parallel()
	if fast, slow := position(0.2, 100), position(20, 100); fast >= slow || slow > plotWidth {
		t.Errorf("position = %d and %d, want the shorter time to the left, within %d", fast, slow, plotWidth)
	}
}

func TestFill_GivesTheSameBytesForTheSameSeed(t *testing.T) {
	t.Parallel()
	a, b := make([]byte, 100), make([]byte, 100)
	for _, p := range [][]byte{a, b} {
		directory := t.TempDir()
		if err := fill(directory, 1000, "seed"); err != nil {
			t.Fatal(err)
		}
		readStart(t, directory, p)
	}
	if string(a) != string(b) || string(a) == string(make([]byte, 100)) {
		t.Errorf("fill wrote %q and then %q", a, b)
	}
}

// readStart fills p from the first file that fill has written.
func readStart(t *testing.T, directory string, p []byte) {
	t.Helper()
	file, err := os.Open(filepath.Join(directory, "lib/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := io.ReadFull(file, p); err != nil {
		t.Fatal(err)
	}
}
