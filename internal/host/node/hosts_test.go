package node

import "testing"

func TestHosts_NamesTheServer(t *testing.T) {
	t.Parallel()
	want := HostsMark + `
server = "http://kind-registry:5000"

[host."http://kind-registry:5000"]
  capabilities = ["pull", "resolve"]
`
	if got := Hosts(); got != want {
		t.Errorf("Hosts = %s, want %s", got, want)
	}
}
