// SPDX-License-Identifier: AGPL-3.0-only

// Command signet is a Juju charm in one binary: a certificate authority for tls-certificates relations and a consumer
// of them. Where to look next: package cli, which decides from its name and arguments what it was started for.
package main

import "github.com/signet-charm/signet/internal/cli"

func main() { cli.Main() }
