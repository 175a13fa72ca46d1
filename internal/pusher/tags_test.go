package pusher

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
)

func TestTagList_IsFreshUntilATagChanges(t *testing.T) {
	t.Parallel()
	one := func() []rewrite.Name { return []rewrite.Name{rewritetest.Name(t, "a:1")} }
	for name, tt := range map[string]struct {
		use  func(*tagList)
		want bool
	}{
		"never listed":                        {func(*tagList) {}, false},
		"just listed":                         {func(l *tagList) { l.begin(); l.end(one(), nil) }, true},
		"being listed":                        {func(l *tagList) { l.begin() }, false},
		"not listed, because of an error":     {func(l *tagList) { l.begin(); l.end(nil, errors.ErrUnsupported) }, false},
		"listed before a change":              {func(l *tagList) { l.begin(); l.end(one(), nil); l.expire() }, false},
		"changed while it was listed":         {func(l *tagList) { l.begin(); l.expire(); l.end(one(), nil) }, false},
		"listed again after a change":         {func(l *tagList) { l.expire(); l.begin(); l.end(one(), nil) }, true},
		"listed long ago":                     {func(l *tagList) { l.begin(); l.end(one(), nil); time.Sleep(10 * time.Second) }, false},
		"listed long ago, and watched":        {func(l *tagList) { l.setWatched(true); l.begin(); l.end(one(), nil); time.Sleep(10 * time.Second) }, true},
		"listed very long ago, and watched":   {func(l *tagList) { l.setWatched(true); l.begin(); l.end(one(), nil); time.Sleep(time.Hour) }, false},
		"listed before it was watched":        {func(l *tagList) { l.begin(); l.end(one(), nil); l.setWatched(true) }, false},
		"listed before the events were lost":  {func(l *tagList) { l.setWatched(true); l.begin(); l.end(one(), nil); l.setWatched(false) }, false},
		"listed while the events are missing": {func(l *tagList) { l.setWatched(false); l.begin(); l.end(one(), nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				list := &tagList{}
				tt.use(list)
				if got := list.fresh(); got != tt.want {
					t.Errorf("fresh = %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestTagList_KeepsTagsIfListingFails(t *testing.T) {
	t.Parallel()
	list := &tagList{}
	list.begin()
	list.end([]rewrite.Name{rewritetest.Name(t, "a:1")}, nil)
	listed, begins := list.begin()
	if _, again := list.begin(); !begins || again {
		t.Errorf("begin = %v, and again %v, want true and false", begins, again)
	}
	list.end(nil, errors.ErrUnsupported)
	<-listed
	if got := list.get(); len(got) != 1 {
		t.Errorf("tags = %v, want a:1", got)
	}
}
