package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Logs returns the last lines that a container printed, with times.
func (e *Engine) Logs(ctx context.Context, name string, lines int) ([]byte, error) {
	logs, err := e.client.ContainerLogs(ctx, name, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Tail: strconv.Itoa(lines),
	})
	if err != nil {
		return nil, fmt.Errorf("reading the log of container %s: %w", name, err)
	}
	var printed bytes.Buffer
	_, err = stdcopy.StdCopy(&printed, &printed, logs)
	return printed.Bytes(), errors.Join(err, logs.Close())
}
