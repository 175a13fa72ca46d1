package service

import (
	"slices"
	"strings"
	"testing"

	"kind-local-registry/config"
)

func TestPusher_KeepsTheLimitOfTheStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct{ given, want string }{
		{"", ""}, {"20GB", "20GB"}, {"", "20GB"}, {"5GiB", "5GiB"}, {"off", ""}, {"", ""},
	} {
		p, err := OpenPusher(t.Context(), w.openRegistry(t, ""), PusherOptions{KeepStorage: test.given})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.container(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if set := slices.Contains(c.Env, config.KeepStorageVariable+"="+test.want); set != (test.want != "") {
			t.Errorf("with %q, the environment is %q, want the limit %q", test.given, c.Env, test.want)
		}
		p.mustApply(t)
		state, err := p.check(t.Context())
		if told := strings.Contains(state.Detail, "keeps at most "+test.want); err != nil || told != (test.want != "") {
			t.Errorf("with %q, the state is %+v, %v, want the limit %q", test.given, state, err, test.want)
		}
	}
}

func TestCheckLimit_RefusesALimitForOtherRegistries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(*world)
		keep    string
		refused bool
	}{
		"our registry":                        {func(*world) {}, "20GB", false},
		"an adopted registry":                 {func(w *world) { w.adopted() }, "20GB", true},
		"an adopted registry without a limit": {func(w *world) { w.adopted() }, "off", false},
	} {
		w := newWorld(t)
		test.prepare(w)
		p, err := OpenPusher(t.Context(), w.openRegistry(t, ""), PusherOptions{KeepStorage: test.keep})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.CheckLimit(t.Context()); (err != nil) != test.refused {
			t.Errorf("%s: CheckLimit = %v, want an error: %t", name, err, test.refused)
		}
	}
}
