// Package load measures admission under load. It acts as the API server and sends AdmissionReviews to a webhook that runs in a
// separate process on one processor. It measures latency, answers and peak memory. The tests run one after another, because
// concurrent tests would affect each other's results. Other load on the machine also affects the results.
//
// It requires the build tag load (make test-load). LOAD_DURATION sets how long each test sends requests. The default is 10s.
package load
