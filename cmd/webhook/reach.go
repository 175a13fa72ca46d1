package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// reachTimeout limits the request of webhook reach.
const reachTimeout = 5 * time.Second

// newReachCommand returns the command webhook reach, which setup doctor runs in a pod.
func newReachCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "reach URL",
		Short:   "Request a URL, to show whether this pod's network reaches it",
		Long:    "Request a URL, to show whether this pod's network reaches it. setup doctor runs this command in a pod. Proxies are not used.",
		Example: "  webhook reach http://172.18.255.253:5000/v2/",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return reach(command.Context(), args[0], command.OutOrStdout())
		},
	}
}

// reach requests the URL. It returns an error unless the response's status is 200.
func reach(ctx context.Context, url string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	_, err = fmt.Fprintf(stdout, "%s answers\n", url)
	return err
}
