package docker

import (
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/pagecache/pagecachetest"
)

func TestOverlay2_DropsLargeFilesFromThePageCache(t *testing.T) {
	t.Parallel()
	contents := map[string]string{"big": strings.Repeat("b", minDropSize), "small": strings.Repeat("s", minDropSize-1)}
	s := newStore(t, []string{"big", contents["big"], "small", contents["small"]})
	for name, content := range contents {
		pagecachetest.Write(t, filepath.Join(s.diff(), name), []byte(content))
	}
	if _, err := s.read(t); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"big": 0, "small": minDropSize} {
		if cached := pagecachetest.Cached(t, filepath.Join(s.diff(), name)); cached != want {
			t.Errorf("%d bytes of the %s file are cached, want %d", cached, name, want)
		}
	}
}
