// SPDX-License-Identifier: AGPL-3.0-only

// Package alerts_test has Prometheus judge alerts/signet.yaml: its rules package evaluates each rule over the series of
// alerts/signet_test.yaml, which is in promtool's format and runs with "promtool test rules" as well; and its parser reads
// whatever the dashboard asks. It is a module of its own because nothing that ships evaluates rules.
//
// Look next at alerts_test.go.
package alerts_test
