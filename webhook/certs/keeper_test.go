package certs

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestKeeper_ChecksEachMinuteAndRenewsAfter60Days(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held, _, err := material(nil).renewed(names(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		made := time.Now()
		time.Sleep(60*24*time.Hour - 2*time.Minute)
		keeper := &Keeper{}
		for renewed := false; !renewed; {
			result, err := keeper.succeed(held)
			if err != nil {
				t.Fatal(err)
			}
			if result.RequeueAfter <= 0 || result.RequeueAfter > time.Minute {
				t.Fatalf("the keeper checks again after %s, want it within a minute", result.RequeueAfter)
			}
			time.Sleep(result.RequeueAfter)
			if held, renewed, err = held.renewed(names(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(made) - 60*24*time.Hour; late > time.Minute {
				t.Fatalf("not renewed %s after it was due", late)
			}
		}
		if early := time.Until(made.Add(60 * 24 * time.Hour)); early > 0 {
			t.Errorf("renewed %s before it was due", early)
		}
		if _, err := keeper.succeed(held); err != nil {
			t.Fatal(err)
		}
		if got := keeper.Remaining(); got < 89*24*time.Hour {
			t.Errorf("the served certificate expires in %s, want 90 days", got)
		}
	})
}
