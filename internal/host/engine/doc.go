// Package engine is the Docker daemon as setup uses it: the containers that setup keeps running, the kind network, volumes and
// images.
//
// It labels what it creates with config.Label. It does not know what the containers do; that is in service.
package engine
