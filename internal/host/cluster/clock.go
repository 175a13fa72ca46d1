package cluster

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// Clock returns the API server's time, from the Date header of its response. It is exact to a second.
func (c *Cluster) Clock(ctx context.Context) (time.Time, error) {
	access, err := c.RESTConfig()
	if err != nil {
		return time.Time{}, err
	}
	client, err := rest.HTTPClientFor(access)
	if err != nil {
		return time.Time{}, fmt.Errorf("connecting to the API server: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, access.Host+"/readyz", nil)
	if err != nil {
		return time.Time{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the API server for its time: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return time.Time{}, err
	}
	now, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the API server's time: %w", err)
	}
	return now, nil
}
