package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"kind-local-registry/webhook/webhooktest"
)

func TestAnswerStream_ContinuesAfterInvalidDocuments(t *testing.T) {
	t.Parallel()
	good := webhooktest.Document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`)
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(good), "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty := indented.String() + "\n"
	for name, tt := range map[string]struct {
		in      string
		answers int
		faults  []int // line numbers
	}{
		"nothing":                         {"", 0, nil},
		"one":                             {good, 1, nil},
		"one on several lines":            {pretty, 1, nil},
		"several":                         {good + "\n" + pretty + pretty + good + "\n", 4, nil},
		"several on a line":               {good + good + " " + good, 3, nil},
		"one cut short":                   {good[:50] + "\n" + good, 1, []int{1}},
		"one cut short on several lines":  {pretty[:200] + "\n" + pretty, 1, []int{1}},
		"garbage":                         {"garbage\n" + good + "\nmore\n\n" + good, 2, []int{1, 2}},
		"another kind":                    {`{"apiVersion":"v1","kind":"Pod"}` + "\n" + good, 1, []int{1}},
		"an older version":                {strings.Replace(good, "/v1", "/v1beta1", 1) + "\n" + good, 1, []int{1}},
		"too much":                        {webhooktest.Document(`"`+strings.Repeat("x", 8<<20)+`"`) + "\n" + good, 1, []int{1}},
		"3 MiB":                           {webhooktest.Document(`{"metadata":{"name":"`+strings.Repeat("x", 3<<20)+`"}}`) + "\n" + good, 2, nil},
		"deeper than JSON may":            {webhooktest.Document(strings.Repeat("[", 10001)) + "\n" + good, 1, []int{1}},
		"nesting that is closed":          {webhooktest.Document(strings.Repeat("[", 10001)+strings.Repeat("]", 10001)) + "\n" + good, 1, []int{1}},
		"not UTF-8":                       {webhooktest.Document(`{"spec":{"containers":[{"image":"`+"\xff\xfe"+`"}]}}`) + "\n" + good, 2, nil},
		"a NUL":                           {"\x00\n" + good, 1, []int{1}},
		"white space between the answers": {"\n\n" + good + "\n\n\n" + good + "\n", 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			var faults []int
			err := answerStream(t.Context(), webhooktest.NewHandler(t, logr.Discard()), strings.NewReader(tt.in), &out,
				func(line int, _ error) { faults = append(faults, line) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			answers := 0
			for line := range bytes.Lines(out.Bytes()) {
				answers++
				var review admissionv1.AdmissionReview
				if err := json.Unmarshal(line, &review); err != nil || !review.Response.Allowed || review.Response.UID != "some-uid" {
					t.Errorf("answer %s (%v), want the same UID, allowed", line, err)
				}
			}
			if answers != tt.answers {
				t.Errorf("%d answers, want %d", answers, tt.answers)
			}
		})
	}
}

// FuzzAnswerStream checks that every answer allows the request, whatever the input is.
func FuzzAnswerStream(f *testing.F) {
	good := webhooktest.Document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`)
	for _, seed := range []string{good, good + good, good[:40] + "\n" + good, "{\n\"a\":1}", "[]\n{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		err := answerStream(t.Context(), webhooktest.NewHandler(t, logr.Discard()), bytes.NewReader(in), &out, func(line int, err error) {
			if line < 1 || err == nil {
				t.Errorf("fault %v on line %d", err, line)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(out.Bytes()) {
			var review admissionv1.AdmissionReview
			if err := json.Unmarshal(line, &review); err != nil || review.Response == nil || !review.Response.Allowed {
				t.Errorf("answer %q (%v), want it to allow the request", line, err)
			}
		}
	})
}

func BenchmarkAnswerStream(b *testing.B) {
	in := strings.Repeat(webhooktest.Document(`{"metadata":{"name":"web"},"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`)+"\n", 1000)
	h := webhooktest.NewHandler(b, logr.Discard())
	for b.Loop() {
		var out bytes.Buffer
		if err := answerStream(b.Context(), h, strings.NewReader(in), &out, func(int, error) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/review")
}
