package config

// Version is the version of this build. The linker sets it (see the Makefile); a bare go build is "dev".
var Version = "dev"
