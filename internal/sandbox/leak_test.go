// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the package when a test leaves a goroutine behind: a controller or a client that is closed has none.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
