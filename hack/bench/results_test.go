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

// twoRounds returns two rounds of results of one scenario. The methods' medians are 10, 4 and 2 s, and the floor's is 1 s.
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
		t.Errorf("table() = %s\nwant a row %q", table, want)
	}
}

func TestPlot_IsXMLWithBarPerMethod(t *testing.T) {
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

func TestPosition_KeepsOrderOfTimes(t *testing.T) {
	t.Parallel()
	if fast, slow := position(0.2, 100), position(20, 100); fast >= slow || slow > plotWidth {
		t.Errorf("positions of 0.2 s and 20 s = %d and %d, want the first to be smaller and both to be at most %d", fast, slow, plotWidth)
	}
}

func TestFill_WritesSameBytesForSameSeed(t *testing.T) {
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
		t.Errorf("fill wrote %q, then %q, want the same random bytes", a, b)
	}
}

// readStart fills p from the first file that fill wrote.
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
