// SPDX-License-Identifier: AGPL-3.0-only

// Command kube-apiserver is Kubernetes' own, built from the module proxy for the end-to-end test of what signet lays on
// a machine that runs Kubernetes.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
