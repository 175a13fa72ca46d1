// Package engine provides what setup needs from the Docker daemon: it manages the kind network, volumes, images, and the
// containers that setup keeps running.
//
// It labels what it creates with config.Label. What the containers do is defined in package service.
package engine
