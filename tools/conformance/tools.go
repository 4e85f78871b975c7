//go:build tools

// Package conformance pins Serving's own suites: `make conformance` builds and runs them.
package conformance

import (
	_ "knative.dev/serving/test"
	_ "knative.dev/serving/test/v1"
)
