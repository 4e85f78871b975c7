//go:build tools

// Package tools pins kn, the newest that builds as a plain module (go.mod) and the oldest of which every command group
// asks for API versions that Serving and Eventing still have (oldest.mod). The sums of the releases stand beside this
// file, since a version listing (which `go install` wants) and a checksum lookup are not to be had behind every module
// proxy.
package tools

import _ "knative.dev/client/cmd/kn"
