module eventmesh.io/tools/kn

go 1.22

require knative.dev/client v0.39.0
