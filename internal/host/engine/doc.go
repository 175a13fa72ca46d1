// Package engine provides what setup needs from the Docker daemon: it manages the containers that setup keeps running, the kind
// network, volumes and images.
//
// It labels what it creates with config.Label. What the containers do is defined in package service.
package engine
