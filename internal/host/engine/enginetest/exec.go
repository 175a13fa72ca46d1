package enginetest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"

	"github.com/moby/moby/api/types/container"
)

// startPath matches the path of a request to start a command.
var startPath = regexp.MustCompile(`/exec/(\d+)/start$`)

// execution is a command in a container.
type execution struct {
	run     func(command []string, stdout, stderr io.Writer) int
	command []string
	status  int
}

// createExec handles POST /containers/{id}/exec.
func (d *Daemon) createExec(w http.ResponseWriter, c *Container, body []byte) {
	var request container.ExecCreateRequest
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if c.State == nil || !c.State.Running || c.Exec == nil {
		refuse(w, http.StatusConflict, "container "+c.Name+" is not running")
		return
	}
	d.execs = append(d.execs, &execution{run: c.Exec, command: request.Cmd})
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"Id": strconv.Itoa(len(d.execs) - 1)})
}

// findExec returns a command. d.mu must be locked.
func (d *Daemon) findExec(id string) *execution {
	number, err := strconv.Atoi(id)
	if err != nil || number >= len(d.execs) {
		return nil
	}
	return d.execs[number]
}

// startExec handles POST /exec/{id}/start. It turns the connection into a stream of the command's output.
func (d *Daemon) startExec(w http.ResponseWriter, r *http.Request, id string) {
	d.mu.Lock()
	started := d.findExec(id)
	d.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	connection, _, err := http.NewResponseController(w).Hijack()
	if started == nil || err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	_, _ = fmt.Fprint(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"+
		"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	var mu sync.Mutex
	status := started.run(started.command, frames{connection, 1, &mu}, frames{connection, 2, &mu})
	d.mu.Lock()
	defer d.mu.Unlock()
	started.status = status
}

// inspectExec handles GET /exec/{id}/json.
func (d *Daemon) inspectExec(w http.ResponseWriter, id string) {
	found := d.findExec(id)
	if found == nil {
		refuse(w, http.StatusNotFound, "No such exec instance: "+id)
		return
	}
	answer(w, container.ExecInspectResponse{ID: id, ExitCode: &found.status})
}

// frames writes to one of the streams that share a connection
// (https://docs.docker.com/reference/api/engine/version/v1.45/#tag/Container/operation/ContainerAttach).
type frames struct {
	connection io.Writer
	stream     byte // 1 for stdout, 2 for stderr
	mu         *sync.Mutex
}

// Write writes p as one frame.
func (f frames) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	header := make([]byte, 8)
	header[0] = f.stream
	binary.BigEndian.PutUint32(header[4:], uint32(len(p))) // #nosec G115 -- a test writes little
	if _, err := f.connection.Write(append(header, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}
