//go:build tools

// Package tools pins nats-server: its own go.mod and go.sum are repeated beside this file, since a version listing
// (which `go install` wants) and a checksum lookup are not to be had behind every module proxy.
package tools

import _ "github.com/nats-io/nats-server/v2"
