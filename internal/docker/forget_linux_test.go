package docker

import (
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/pagecache/pagecachetest"
)

func TestOverlay2_KeepsNoBigFileInMemory(t *testing.T) {
	t.Parallel()
	contents := map[string]string{"big": strings.Repeat("b", forgetFrom), "small": strings.Repeat("s", forgetFrom-1)}
	s := newStore(t, []string{"big", contents["big"], "small", contents["small"]})
	for name, content := range contents {
		pagecachetest.Write(t, filepath.Join(s.diff(), name), []byte(content))
	}
	if _, err := s.read(t); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"big": 0, "small": forgetFrom} {
		if kept := pagecachetest.Kept(t, filepath.Join(s.diff(), name)); kept != want {
			t.Errorf("%d bytes are kept of the %s file, want %d", kept, name, want)
		}
	}
}
