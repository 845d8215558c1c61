// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"testing"

	"github.com/juju/loggo" //nolint:depguard // what Juju itself logs with, to quiet it
	"go.uber.org/goleak"
)

// TestMain fails the package when a test leaves a goroutine behind: a controller or a client that is closed has none.
func TestMain(m *testing.M) {
	// Connections are cut on purpose here; Juju's own complaints about it would hide what matters.
	loggo.GetLogger("juju").SetLogLevel(loggo.CRITICAL)
	goleak.VerifyTestMain(m)
}
