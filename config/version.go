package config

// Version is the version of this build. hack/build.sh sets it with a linker flag. After a plain go build, it is "dev".
var Version = "dev"
