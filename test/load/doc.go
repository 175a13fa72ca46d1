// Package load measures admission under load: it sends AdmissionReviews, as the API server would, to a webhook that is a
// process of its own on one processor, and looks at how long the answers take, what they are, and how much memory the
// process has had. The tests run one after another, or they would measure each other. Whatever else the machine does is
// measured too.
//
// It needs the build tag load (make test-load). LOAD_DURATION says for how long each test sends, 10s where it is not set.
package load
