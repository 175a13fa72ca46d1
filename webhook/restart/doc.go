// Package restart implements restart on rebuild. If a workload (a Deployment, StatefulSet or DaemonSet) asks for it and the host has a
// newer build of an image that the workload's pods run, it restarts the workload as kubectl rollout restart does.
//
// The controller compares states: the builds that the pods of the current template run, and the builds that the host has now. Events
// of the pusher only tell it when to compare, so a missed event delays a restart and loses nothing. A restart is recorded only in the
// annotation that kubectl sets too.
//
// A workload that is paused, updated by its owner, or excluded by a rule is left unchanged, and gets an Event that says why.
package restart
