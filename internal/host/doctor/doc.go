// Package doctor finds the broken link between the host's images and a pod. It checks the chain in order: Docker, the registry, the
// pusher, the cluster, its nodes, the webhook, and a pod that is really run.
//
// A check names the checks that it depends on. If one of these is broken, the check does not run, so that the user sees causes and
// not their consequences. Package doctor changes nothing lasting, unless Mend is called. cmd/setup prints the findings.
package doctor
