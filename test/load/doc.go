// Package load measures admission under load. It sends AdmissionReviews, as the API server does, to a webhook in a process
// of its own on one processor, and measures latency, answers and peak memory. The tests run one after another, so as not to
// measure each other. Other load on the machine affects the results.
//
// It needs the build tag load (make test-load). LOAD_DURATION is how long each test sends, 10s by default.
package load
