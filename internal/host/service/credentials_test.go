package service

import (
	"testing"
	"testing/synctest"
	"time"

	"kind-local-registry/internal/pusher"
)

func TestCheckCertificates_RequiresValidityNowAndForMonths(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		madeFromNow time.Duration
		good        bool
	}{
		"made just now":                        {0, true},
		"made by a clock that was a day ahead": {24 * time.Hour, false},
		"about to expire":                      {-10*365*24*time.Hour + renewBefore/2, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			credentials, err := pusher.NewCredentials(time.Now().Add(test.madeFromNow))
			if err != nil {
				t.Fatal(err)
			}
			if err := checkCertificates(credentials); (err == nil) != test.good {
				t.Errorf("%s: checkCertificates = %v, want good = %t", name, err, test.good)
			}
		})
	}
}
