package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReady_RefusesInvalidFlags(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"no calls and no time":      {[]string{"--need=0", "--timeout=-1s"}, []string{"--need 0", "--timeout -1s"}},
		"a duration without a unit": {[]string{"--timeout=60"}, []string{"timeout"}},
		"an unexpected argument":    {[]string{"more"}, []string{"unknown command"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), append([]string{"ready"}, tt.args...), nil, &out, &out)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("run = %v, want an error with %q", err, want)
				}
			}
		})
	}
}
