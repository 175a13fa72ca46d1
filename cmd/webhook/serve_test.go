package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestServe_RefusesContradictingFlags(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing to push with":      {nil, "either --pusher or --docker-socket"},
		"a pusher and a socket":     {[]string{"--pusher=a:1", "--docker-socket=/s"}, "either --pusher or --docker-socket"},
		"a pusher, no credentials":  {[]string{"--pusher=a:1"}, "--pusher-credentials"},
		"a socket, no registry":     {[]string{"--docker-socket=/s"}, "--registry"},
		"missing rules":             {[]string{"--pusher=a:1", "--pusher-credentials=/c", "--rules=/none"}, "reading rules: open /none"},
		"an unknown log level":      {[]string{"--log-level=loud"}, "loud"},
		"an unexpected argument":    {[]string{"more"}, "unknown command"},
		"a duration without a unit": {[]string{"--push-deadline=1"}, "push-deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), append([]string{"serve"}, tt.args...), nil, &out, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestRun_PrintsItsVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--version"}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "webhook version dev\n"; got != want {
		t.Errorf("--version prints %q, want %q", got, want)
	}
}
