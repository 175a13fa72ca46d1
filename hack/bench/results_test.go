package main

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// twoRounds returns two rounds of results of one scenario. The median delivery takes 10 s with kind load, 4 s with docker push,
// 2 s without linking and 0.1 s with linking. The floor is 1 s.
func twoRounds() *results {
	var r results
	for method, seconds := range map[string][]float64{
		kindLoad: {9, 11}, dockerPush: {4, 4}, pulled: {1, 3}, linked: {0.08, 0.12}, floor: {1, 1},
	} {
		for round, s := range seconds {
			r.add(sample{"858MB", first, method, "delivery", round, s})
		}
	}
	return &r
}

// withoutLinking returns results from before linking existed.
func withoutLinking() *results { return without(linked) }

// without returns two rounds without a method.
func without(method string) *results {
	r := twoRounds()
	r.Samples = slices.DeleteFunc(r.Samples, func(s sample) bool { return s.Method == method })
	return r
}

func TestTable_ShowsMediansAndRatios(t *testing.T) {
	t.Parallel()
	r := twoRounds()
	for _, s := range []struct {
		method  string
		seconds float64
	}{{kindLoad, 11}, {dockerPush, 5}, {pulled, 3}, {linked, 1.6}, {present, 0.9}} {
		r.add(sample{"858MB", first, s.method, "running", 0, s.seconds})
	}
	r.Disk = []disk{
		{"858MB", kindLoad, 0, 1_600, 1_000}, {"858MB", pulled, 0, 1_000, 1_000}, {"858MB", linked, 0, 1, 1_000}, {"858MB", linked, 1, 2, 1_000},
	}
	for name, test := range map[string]struct {
		results *results
		want    string
	}{
		"delivery":                    {r, "| 858MB | first delivery | 10.00 | 4.00 | 2.00 | **0.10** | 1.00 | 5.0× | **100.0×** | 2 |"},
		"running":                     {r, "| 858MB | first delivery | 11.00 | 5.00 | 3.00 | **1.60** | 0.90 | +0.70 | 3.7× | **6.9×** | 1 |"},
		"disk":                        {r, "| 858MB | 160.00 % | – | 100.00 % | 0.15 % |"},
		"results from before linking": {withoutLinking(), "| 858MB | first delivery | 10.00 | 4.00 | 2.00 | – | 1.00 | 5.0× | – | 2 |"},
	} {
		if table := test.results.table(); !strings.Contains(table, test.want+"\n") {
			t.Errorf("%s: table() = %s\nwant a row %q", name, table, test.want)
		}
	}
}

func TestTable_RowsHaveAsManyCellsAsHeader(t *testing.T) {
	t.Parallel()
	r := twoRounds()
	r.add(sample{"858MB", first, kindLoad, "running", 0, 11})
	r.Disk = []disk{{"858MB", linked, 0, 1, 1_000}}
	r.addPeak(memory{"858MB", "kind-registry", 50})
	cells, tables := 0, 0
	for line := range strings.Lines(r.table()) {
		switch now := strings.Count(line, "|"); {
		case now == 0:
			cells = 0
		case cells == 0:
			cells, tables = now, tables+1
		case now != cells:
			t.Errorf("row %q has %d separators, want %d like its header", line, now, cells)
		}
	}
	if tables != 4 {
		t.Errorf("table() has %d tables, want 4", tables)
	}
}

func TestResults_ReadsFilesFromBeforeLinking(t *testing.T) {
	t.Parallel()
	old, err := readResults("../../docs/benchmarks")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := old.write(directory); err != nil {
		t.Fatal(err)
	}
	again, err := readResults(directory)
	if diff := cmp.Diff(old, again); err != nil || diff != "" {
		t.Errorf("results differ after being written and read: %v\n%s", err, diff)
	}
	for _, s := range old.Samples {
		if !slices.Contains([]string{kindLoad, dockerPush, pulled, linked, floor, present}, s.Method) {
			t.Errorf("results.json has an unknown method %q", s.Method)
		}
	}
}

func TestDrop_RemovesAllOfACase(t *testing.T) {
	t.Parallel()
	r := twoRounds()
	r.Disk = []disk{{"858MB", linked, 0, 1, 1_000}, {"100MB", linked, 0, 1, 1_000}}
	r.addPeak(memory{"858MB", "kind-registry", 50})
	r.drop([]subject{{Name: "858MB"}})
	want := results{Disk: []disk{{"100MB", linked, 0, 1, 1_000}}}
	if diff := cmp.Diff(want, *r, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("drop left (-want +got):\n%s", diff)
	}
}

func TestPlot_IsXMLWithBarPerMethod(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		results *results
		want    []string
		without string
	}{
		"with linking": {
			twoRounds(),
			[]string{`class="load"/>`, `class="push"/>`, `class="pulled"/>`, `class="linked"/>`, "10.00 s", "4.00 s", "2.00 s", "0.10 s", "100× as fast"},
			"5.0×",
		},
		"from before linking": {withoutLinking(), []string{"10.00 s", "4.00 s", "2.00 s", "5.0× as fast"}, "NaN"},
	} {
		plot, err := test.results.plot()
		if err != nil {
			t.Fatal(err)
		}
		for decoder := xml.NewDecoder(strings.NewReader(string(plot))); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: plot: %v\n%s", name, err, plot)
			}
		}
		for _, want := range test.want {
			if !strings.Contains(string(plot), want) {
				t.Errorf("%s: plot lacks %q", name, want)
			}
		}
		if strings.Contains(string(plot), test.without) {
			t.Errorf("%s: plot has %q", name, test.without)
		}
	}
}

func TestPlot_ShowsNoBarWithoutMeasurement(t *testing.T) {
	t.Parallel()
	all, old := twoRounds().group("858MB", first, 100, 300), withoutLinking().group("858MB", first, 100, 300)
	if len(all.Bars) != 4 || len(old.Bars) != 3 || all.Bars[2].Floor == 0 || all.Bars[3].Floor != 0 {
		t.Errorf("bars = %+v, and %+v without linking; want 4 and 3, with the floor's mark on the third", all.Bars, old.Bars)
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

func TestFillSmall_WritesNumberAndSizeOfFiles(t *testing.T) {
	t.Parallel()
	const files, size = 220, 220 * 1000
	directory := t.TempDir()
	if err := fillSmall(directory, size, files, "seed"); err != nil {
		t.Fatal(err)
	}
	found, directories, total := 0, 0, int64(0)
	err := filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			directories++
			return err
		}
		info, err := entry.Info()
		found, total = found+1, total+info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != files || total != size || directories < files/filesPerDirectory {
		t.Errorf("fillSmall wrote %d files with %d bytes in %d directories, want %d files with %d bytes in at least %d directories",
			found, total, directories, files, size, files/filesPerDirectory)
	}
}

func TestSubjects_CanBeChosenByTheirNames(t *testing.T) {
	t.Parallel()
	chosen, err := choose(strings.Join(names(), ","))
	if diff := cmp.Diff(subjects(), chosen); err != nil || diff != "" {
		t.Errorf("choose = %v\n%s", err, diff)
	}
	for _, s := range chosen { // the repository of an image contains the name of its case
		if reference := s.references(method{tag: "local"})[0]; !strings.HasPrefix(reference, "bench/") || strings.ToLower(reference) != reference {
			t.Errorf("the image of %s is %s, want a reference in lower case below bench/", s.Name, reference)
		}
	}
	if _, err := choose("100MB,none"); err == nil {
		t.Error("choose accepts a case that does not exist")
	}
}

func TestMethods_LinkingIsOffForThoseThatPull(t *testing.T) {
	t.Parallel()
	for _, m := range new(bench).methods() {
		want := linkOff
		switch m.Name {
		case kindLoad:
			want = ""
		case linked:
			want = linkAuto
		}
		if m.link != want {
			t.Errorf("%s: link = %q, want %q", m.Name, m.link, want)
		}
	}
}
