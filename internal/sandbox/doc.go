// SPDX-License-Identifier: AGPL-3.0-only

// Package sandbox is an embedded Juju: a model with applications, units, relations, leadership, configuration and
// secrets (Model), a controller that serves it over TLS websockets on Juju's own rpc server exactly as a unit agent's
// client expects it (Controller), and a runner of hooks. Its zero configuration is ready to use, everything listens on
// loopback only, and it is never more lenient than a real controller: what passes here passes on Juju 3.6 and 4.x.
// Where to look next: Model and its one write path Commit, then Start for the controller.
package sandbox
