package cluster

import (
	"context"
	"errors"
	"testing"

	"kind-local-registry/internal/host/engine"
)

func TestSelection_TakesTheClusterThatIsMeant(t *testing.T) {
	t.Parallel()
	last := func(_ context.Context, names []string) (string, error) { return names[len(names)-1], nil }
	prefers, asks := Selection{PreferUser: true}, Selection{PreferUser: true, Ask: last}
	for name, test := range map[string]struct {
		how        Selection
		all, users []string
		want       string // "" for an error
		asked      bool
	}{
		"no cluster exists":                                {want: "kind"},
		"the only cluster":                                 {all: []string{"laconic-1"}, want: "laconic-1"},
		"several, and the user chooses":                    {how: Selection{Ask: last}, all: []string{"a", "b", "kind"}, want: "kind", asked: true},
		"several, and the user cannot be asked":            {all: []string{"kind", "b"}},
		"several, although only one uses the registry":     {all: []string{"a", "b"}, users: []string{"b"}},
		"the only user of the registry":                    {how: prefers, all: []string{"a", "b"}, users: []string{"b"}, want: "b"},
		"the only user of the registry, nothing to ask":    {how: asks, all: []string{"a", "b", "c"}, users: []string{"b"}, want: "b"},
		"several users of the registry":                    {how: prefers, all: []string{"a", "b", "c"}, users: []string{"a", "b"}},
		"several users, of which the user chooses":         {how: asks, all: []string{"a", "b", "c"}, users: []string{"a", "b"}, want: "b", asked: true},
		"no user of the registry":                          {how: prefers, all: []string{"a", "kind"}},
		"no user of the registry, and the user can choose": {how: asks, all: []string{"a", "kind"}, want: "kind", asked: true},
	} {
		got, asked, err := test.how.from(t.Context(), test.all, func() ([]string, error) { return test.users, nil })
		if got != test.want || asked != test.asked || (test.want == "") != errors.Is(err, errAmbiguous) {
			t.Errorf("%s: from = %q, asked %t, %v; want %q, asked %t", name, got, asked, err, test.want, test.asked)
		}
	}
}

func TestSelection_ErrorNamesTheClustersAndTheFlag(t *testing.T) {
	t.Parallel()
	users := func() ([]string, error) { return []string{"b", "c"}, nil }
	_, _, err := Selection{PreferUser: true}.from(t.Context(), []string{"a", "b", "c"}, users)
	want := "no cluster is named, and there are 2 kind clusters: b, c; name one with --cluster, for example --cluster b"
	if err == nil || err.Error() != want {
		t.Errorf("from = %v, want %s", err, want)
	}
}

func TestSelection_ReportsThatUsersAreUnknown(t *testing.T) {
	t.Parallel()
	broken := errors.New("docker is gone")
	_, _, err := Selection{PreferUser: true}.from(t.Context(), []string{"a", "b"}, func() ([]string, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("from = %v, want %v", err, broken)
	}
}

func TestNew_PrefersTheFlagToTheEnvironment(t *testing.T) {
	t.Setenv(nameVariable, "exported")
	file := writeKindConfig(t, "name: configured\n")
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{}, "exported"},
		{Options{ConfigFile: file}, "exported"},
		{Options{ConfigFile: file, Name: "chosen"}, "chosen"},
	} {
		got, err := New(&engine.Engine{}, test.options)
		if err != nil || got.Name() != test.want {
			t.Errorf("New(%+v) = %v, %v; want %s", test.options, got, err, test.want)
		}
	}
}

func TestSelect_KeepsANamedCluster(t *testing.T) {
	t.Parallel()
	c, err := New(&engine.Engine{}, Options{Name: "chosen"})
	if err != nil {
		t.Fatal(err)
	}
	asked := func(context.Context, []string) (string, error) { return "", errors.New("asked") }
	if err := c.Select(t.Context(), Selection{Ask: asked}, nil); err != nil || c.Name() != "chosen" {
		t.Errorf("Select = %v, name %s; want chosen", err, c.Name())
	}
}
