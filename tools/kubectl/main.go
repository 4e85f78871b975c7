// Command kubectl is kubectl, built from its published module: go.mod has the newest, oldest.mod the oldest that the
// embedded API is held to (docs/embedded-api.md).
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
