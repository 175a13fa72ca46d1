package enginetest

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

func readAll(r *http.Request) ([]byte, error) { return io.ReadAll(r.Body) }

// serveContainer serves a request about containers. rest is the path after /containers/.
func (d *Daemon) serveContainer(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	switch rest {
	case "json":
		d.listContainers(w, r)
		return
	case "create":
		d.createContainer(w, r.URL.Query().Get("name"), body)
		return
	}
	id, action, _ := strings.Cut(rest, "/")
	name, found := d.findContainer(id)
	if !found {
		refuse(w, http.StatusNotFound, "No such container: "+id)
		return
	}
	c := d.Containers[name]
	switch r.Method + " " + action {
	case "GET json":
		answer(w, c.InspectResponse)
	case "POST start", "POST unpause":
		c.run(w, action)
	case "POST rename":
		c.Name = "/" + r.URL.Query().Get("name")
		delete(d.Containers, name)
		d.Containers[r.URL.Query().Get("name")] = c
		w.WriteHeader(http.StatusNoContent)
	case "DELETE ":
		delete(d.Containers, name)
		w.WriteHeader(http.StatusNoContent)
	case "GET logs":
		_, _ = w.Write(c.frame())
	case "GET archive", "HEAD archive":
		c.get(w, r.URL.Query().Get("path"))
	case "PUT archive":
		c.serveUpload(w, r.URL.Query().Get("path"), body)
	case "POST exec":
		d.createExec(w, c, body)
	default:
		refuse(w, http.StatusNotFound, "no action "+action)
	}
}

// serveUpload serves a request that copies files to a directory in the container.
func (c *Container) serveUpload(w http.ResponseWriter, directory string, body []byte) {
	if err := c.put(directory, body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
	}
}

// frame returns the log in the format in which the daemon multiplexes stdout and stderr.
func (c *Container) frame() []byte {
	const stdout, headerSize = 1, 8
	header := make([]byte, headerSize)
	header[0] = stdout
	binary.BigEndian.PutUint32(header[4:], uint32(len(c.Log))) // #nosec G115 -- a test's log is short
	return append(header, c.Log...)
}

// run starts or unpauses the container. Like Docker, it does not start a paused container.
func (c *Container) run(w http.ResponseWriter, action string) {
	if paused := action == "unpause"; c.State.Paused != paused {
		refuse(w, http.StatusConflict, fmt.Sprintf("cannot %s a container whose state is %s", action, c.State.Status))
		return
	}
	c.State = &container.State{Running: true, Status: container.StateRunning}
	w.WriteHeader(http.StatusNoContent)
}

// findContainer returns the name of the container whose name or ID is id.
func (d *Daemon) findContainer(id string) (name string, found bool) {
	for name, c := range d.Containers {
		if name == id || c.ID == id {
			return name, true
		}
	}
	return "", false
}

// listContainers lists the containers that match the request's filters by label and network.
func (d *Daemon) listContainers(w http.ResponseWriter, r *http.Request) {
	var filters map[string]map[string]bool
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters) // without the parameter there is no filter
	summaries := []container.Summary{}
	for name, c := range d.Containers {
		matches := true
		for label := range filters["label"] {
			key, want, exact := strings.Cut(label, "=")
			value, has := c.Config.Labels[key]
			matches = matches && has && (!exact || value == want)
		}
		for id := range filters["network"] {
			_, on := c.NetworkSettings.Networks[id]
			matches = matches && on
		}
		if !matches {
			continue
		}
		summary := container.Summary{ID: c.ID, Names: []string{"/" + name}, ImageID: c.Image, Labels: c.Config.Labels}
		if c.State != nil {
			summary.State = c.State.Status
		}
		summaries = append(summaries, summary)
	}
	answer(w, summaries)
}

// createContainer creates a container and the volumes that it mounts. It assigns a fixed address only on a network with labels,
// because only setup creates networks with labels and with configured subnets.
func (d *Daemon) createContainer(w http.ResponseWriter, name string, body []byte) {
	var request container.CreateRequest
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	d.made++
	made := &Container{
		InspectResponse: container.InspectResponse{
			ID: fmt.Sprintf("c%d", d.made), Name: "/" + name, Config: request.Config, HostConfig: request.HostConfig,
			Image: request.Image, State: &container.State{Status: container.StateCreated},
			NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}},
		},
		Files: map[string][]byte{},
	}
	for id, endpoint := range request.NetworkingConfig.EndpointsConfig {
		connected, err := d.connect(id, endpoint)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		made.NetworkSettings.Networks[id] = connected
	}
	for _, bind := range request.HostConfig.Binds {
		if volume, _, _ := strings.Cut(bind, ":"); !strings.HasPrefix(volume, "/") {
			d.Volumes[volume] = true
		}
	}
	d.Containers[name] = made
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"Id": made.ID})
}

// connect returns the endpoint of a container that is connected to the network.
func (d *Daemon) connect(id string, endpoint *network.EndpointSettings) (*network.EndpointSettings, error) {
	joined, found := d.Networks[id]
	if !found {
		return nil, fmt.Errorf("network %s not found", id)
	}
	connected := &network.EndpointSettings{IPAddress: netip.MustParseAddr("172.18.0.9")}
	if endpoint != nil {
		connected.DriverOpts = endpoint.DriverOpts
	}
	if endpoint != nil && endpoint.IPAMConfig != nil {
		if len(joined.Labels) == 0 {
			return nil, errors.New("user specified IP address is supported only when connecting to networks with user configured subnets")
		}
		connected.IPAMConfig, connected.IPAddress = endpoint.IPAMConfig, endpoint.IPAMConfig.IPv4Address
	}
	return connected, nil
}

// get sends a tar archive of a file, or of the files in a directory.
func (c *Container) get(w http.ResponseWriter, from string) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	var found bool
	for file, content := range c.Files {
		if file == from || strings.HasPrefix(file, from+"/") {
			found = true
			_ = writer.WriteHeader(&tar.Header{Name: path.Base(file), Mode: 0o600, Size: int64(len(content))})
			_, _ = writer.Write(content)
		}
	}
	_ = writer.Close()
	if !found {
		refuse(w, http.StatusNotFound, "Could not find the file "+from)
		return
	}
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString([]byte("{}")))
	_, _ = w.Write(archive.Bytes())
}

// put unpacks a tar archive into a directory.
func (c *Container) put(directory string, archive []byte) error {
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		c.Files[path.Join(directory, header.Name)] = content // #nosec G305 -- a map's key, not a file
	}
}
