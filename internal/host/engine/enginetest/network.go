package enginetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

// serveNetwork serves a request about networks. rest is the path after /networks/.
func (d *Daemon) serveNetwork(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	if rest == "create" {
		d.createNetwork(w, body)
		return
	}
	id, action, _ := strings.Cut(rest, "/")
	for name, n := range d.Networks {
		if id == n.ID {
			id = name
		}
	}
	found, ok := d.Networks[id]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "network "+id+" not found")
	case action == "connect", action == "disconnect":
		d.serveConnection(w, id, action, body)
	case r.Method == http.MethodDelete:
		delete(d.Networks, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, found)
	}
}

// createNetwork creates a network. If the request contains no subnets, the daemon chooses one.
func (d *Daemon) createNetwork(w http.ResponseWriter, body []byte) {
	var request network.CreateRequest
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	d.made++
	made := &network.Inspect{Network: network.Network{
		ID: fmt.Sprintf("n%d", d.made), Name: request.Name, Labels: request.Labels, Options: request.Options,
	}}
	if request.EnableIPv6 != nil {
		made.EnableIPv6 = *request.EnableIPv6
	}
	if request.IPAM != nil {
		made.IPAM = *request.IPAM
	} else {
		made.IPAM.Config = []network.IPAMConfig{{Subnet: netip.MustParsePrefix("172.30.0.0/16")}}
	}
	d.Networks[request.Name] = made
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]string{"Id": made.ID})
}

// serveConnection connects a container to the network, or disconnects it.
func (d *Daemon) serveConnection(w http.ResponseWriter, id, action string, body []byte) {
	var request network.ConnectRequest // a request to disconnect also has the field Container
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	name, found := d.findContainer(request.Container)
	if !found {
		refuse(w, http.StatusNotFound, "No such container: "+request.Container)
		return
	}
	connections := d.Containers[name].NetworkSettings.Networks
	if action == "disconnect" {
		delete(connections, id)
		return
	}
	connected, err := d.connect(id, request.EndpointConfig)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	connections[id] = connected
}

// serveVolume serves a request about a volume, or a request to create one.
func (d *Daemon) serveVolume(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	var request volume.CreateRequest
	if err := json.Unmarshal(body, &request); err == nil && name == "create" {
		name = request.Name
		d.Volumes[name] = true
	}
	switch {
	case !d.Volumes[name]:
		refuse(w, http.StatusNotFound, "get "+name+": no such volume")
	case r.Method == http.MethodDelete:
		delete(d.Volumes, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, map[string]string{"Name": name})
	}
}

// usage returns the sizes of the volumes.
func (d *Daemon) usage() map[string][]volume.Volume {
	var all []volume.Volume
	for name := range d.Volumes {
		all = append(all, volume.Volume{Name: name, UsageData: &volume.UsageData{Size: d.VolumeSize}})
	}
	return map[string][]volume.Volume{"Volumes": all}
}

// serveImage serves a request about images. rest is the path after /images/.
func (d *Daemon) serveImage(w http.ResponseWriter, r *http.Request, rest string) {
	switch rest {
	case "json":
		summaries := []image.Summary{}
		for reference, found := range d.Images {
			summaries = append(summaries, image.Summary{ID: found.ID, RepoTags: []string{reference}})
		}
		answer(w, summaries)
		return
	case "load":
		answer(w, map[string]string{"stream": "Loaded image"})
		return
	case "create":
		query := r.URL.Query()
		d.AddImage(strings.TrimPrefix(query.Get("fromImage"), "docker.io/library/")+":"+query.Get("tag"), "sha256:pulled")
		answer(w, map[string]string{"status": "Pull complete"})
		return
	}
	reference := strings.TrimSuffix(rest, "/json")
	found, ok := d.Images[reference]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "No such image: "+reference)
	case r.Method == http.MethodDelete:
		delete(d.Images, reference)
		answer(w, []any{})
	default:
		answer(w, found)
	}
}
